// xenbus, the front ends' side: finds the domain's devices in xenstore and leads each through the states of io/xenbus.h.
#include "xen.h"

static u32 changes; // counts what the watches saw
static struct front_end *front_ends;

static void backend_changed(void) {
    changes++;
    wakeup(&changes);
}

int bus_read(const struct front_end *front, const char *key, char *value, uptr size) {
    char path[96];
    format(path, sizeof path, "%s/%s", front->path, key);
    int n = xen_store(XS_OP_READ, path, value, size);
    if (n >= 0) value[MIN((uptr)n, size - 1)] = 0;
    return n;
}

void bus_write(const struct front_end *front, const char *key, const char *value) {
    char path[96];
    format(path, sizeof path, "%s/%s", front->path, key);
    store_write(path, value);
}

void bus_write_number(const struct front_end *front, const char *key, u32 value) {
    char text[16];
    format(text, sizeof text, "%u", value);
    bus_write(front, key, text);
}

u64 bus_backend_number(const struct front_end *front, const char *key, u64 otherwise) {
    char path[128];
    format(path, sizeof path, "%s/%s", front->backend, key);
    return store_number(path, otherwise);
}

// Waits for the back end to reach one of the wanted states (a bit each); false when it closed instead.
static bool backend_wait(struct front_end *front, u32 wanted) {
    for (;;) {
        u32 seen = changes, generation = front->generation;
        u32 state = (u32)bus_backend_number(front, "state", 0);
        if (wanted & 1U << state) return true;
        if (state == BUS_closing || state == BUS_closed || generation != front->generation) return false;
        if (seen == changes) sleep_on(&changes, 0);
    }
}

static void connect(struct front_end *front) {
    char text[16];
    if (bus_read(front, "backend", front->backend, sizeof front->backend) <= 0) return;
    if (bus_read(front, "backend-id", text, sizeof text) <= 0) return;
    front->remote = (u16)number(text, NULL);
    char watched[128];
    format(watched, sizeof watched, "%s/state", front->backend);
    store_watch(watched, backend_changed);
    if (!backend_wait(front, 1 << BUS_init_wait | 1 << BUS_initialised | 1 << BUS_connected)) return;
    if (!front->driver->offer(front)) return;
    bus_write_number(front, "state", BUS_initialised);
    if (!backend_wait(front, 1 << BUS_connected)) return;
    if (!front->driver->connected(front)) return;
    bus_write_number(front, "state", BUS_connected);
}

static struct front_end *starting;

static void front_end_thread(void) {
    struct front_end *front = starting;
    starting = NULL;
    wakeup(&starting);
    for (u32 done = front->generation - 1;;) {
        if (done != front->generation) done = front->generation, connect(front);
        else sleep_on(front, 0);
    }
}

static void find(const char *class, const struct driver *driver) {
    char path[32], *names = page_alloc(0);
    if (!names) return;
    format(path, sizeof path, "device/%s", class);
    int bytes = xen_store(XS_OP_LIST, path, names, PAGE_SIZE);
    for (int at = 0; at < bytes; at += (int)strlen(names + at) + 1) {
        struct front_end *front = alloc(sizeof *front);
        if (!front) break;
        format(front->path, sizeof front->path, "%s/%s", path, names + at);
        front->number = (u32)number(names + at, NULL);
        front->driver = driver;
        front->next = front_ends;
        front_ends = front;
        starting = front;
        kernel_thread(class, front_end_thread);
        while (starting) sleep_on(&starting, 0);
    }
    page_free(names, 0);
}

void bus_init(void) {
    if (!grants_init()) return;
    find("vbd", &block_driver);
    find("vif", &network_driver);
}

void bus_resume(void) {
    for (struct front_end *front = front_ends; front; front = front->next) {
        front->generation++;
        wakeup(front);
    }
    backend_changed();
}
