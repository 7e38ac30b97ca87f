// xenstore: the ring, one request at a time, and watches. A thread of the kernel calls what watches; requests sleep until answered.
// Wire format: io/xs_wire.h; a message is a 16-byte header and up to 4096 bytes.
#include "xen.h"

enum { XS_directory = 1, XS_read = 2, XS_watch = 4, XS_write = 11, XS_rm = 13, XS_watch_event = 15, XS_error = 16 };
struct message { u32 type, request, transaction, length; };

static struct xen_store_ring *ring;
static u32 port;
static bool busy;             // a request is under way
static u32 last_request;
static struct message reply;  // its answer's header, once `answered`
static bool answered;
static char reply_text[4096 + 1];

// What arrives is gathered here until a message is whole.
static char incoming[sizeof(struct message) + 4096];
static u32 incoming_bytes;

static struct watch { char path[128]; void (*changed)(void); bool fired; } watches[24];
static u32 watch_count;

static void message_arrived(const struct message *header, const char *text) {
    if (header->type == XS_watch_event) {
        // Payload: path, zero, token, zero. Our token is the watch's index.
        const char *token = text + strlen(text) + 1;
        u32 index = (u32)number(token, NULL);
        if (index < watch_count) watches[index].fired = true;
        wakeup(watches);
        return;
    }
    if (header->request != last_request) return; // an answer to before a resume
    reply = *header;
    memcpy(reply_text, text, header->length);
    reply_text[header->length] = 0;
    answered = true;
    wakeup(&answered);
}

static void store_event(u32 event_port) {
    bool took = false;
    for (;;) {
        u32 cons = ring->response_cons, have = __atomic_load_n(&ring->response_prod, __ATOMIC_ACQUIRE) - cons;
        if (!have || have > sizeof ring->response) break;
        const struct message *header = (const struct message *)incoming;
        while (have) {
            u32 want = incoming_bytes < sizeof *header ? sizeof *header : sizeof *header + header->length;
            while (have && incoming_bytes < want) incoming[incoming_bytes++] = ring->response[cons++ % sizeof ring->response], have--;
            if (incoming_bytes < sizeof *header) continue;
            if (header->length > 4096) { // nonsense: give up on what is there
                incoming_bytes = 0;
                cons += have;
                break;
            }
            if (incoming_bytes < sizeof *header + header->length) continue;
            incoming[incoming_bytes == sizeof incoming ? incoming_bytes - 1 : incoming_bytes] = 0;
            incoming_bytes = 0;
            message_arrived(header, incoming + sizeof *header);
        }
        __atomic_store_n(&ring->response_cons, cons, __ATOMIC_RELEASE);
        took = true;
    }
    if (took) event_send(event_port);
    wakeup(&ring); // there may be room for more of a request
}

static int put(const void *data, u32 bytes) {
    const char *from = data;
    while (bytes) {
        u32 prod = ring->request_prod, room = sizeof ring->request - (prod - __atomic_load_n(&ring->request_cons, __ATOMIC_ACQUIRE));
        if (!room) {
            event_send(port);
            sleep_on(&ring, 0);
            continue;
        }
        for (; room && bytes; room--, bytes--) ring->request[prod++ % sizeof ring->request] = *from++;
        __atomic_store_n(&ring->request_prod, prod, __ATOMIC_RELEASE);
    }
    return 0;
}

static int error_number(const char *name) {
    static const struct { const char *name; int number; } known[] = {{"ENOENT", ENOENT}, {"EINVAL", EINVAL}, {"ENOSPC", ENOSPC}, {"E2BIG", E2BIG}, {"ENOSYS", ENOSYS}, {"EAGAIN", EAGAIN}, {"EACCES", EACCES}};
    for (u32 i = 0; i < COUNT(known); i++)
        if (strcmp(known[i].name, name) == 0) return -known[i].number;
    return -EIO;
}

/// Sends type with `path`, a zero and `value`; returns the answer's length (text in reply_text) or a negative error.
static int request(u32 type, const char *path, const char *value, u32 value_bytes) {
    while (busy) sleep_on(&busy, 0);
    busy = true;
    u32 path_bytes = (u32)strlen(path) + 1;
    struct message header = {type, ++last_request, 0, path_bytes + value_bytes};
    answered = false;
    put(&header, sizeof header);
    put(path, path_bytes);
    put(value, value_bytes);
    event_send(port);
    while (!answered && !current()->killed) sleep_on(&answered, 0);
    int result = !answered ? -EINTR : reply.type == XS_error ? error_number(reply_text) : (int)reply.length;
    busy = false;
    wakeup(&busy);
    return result;
}

int xen_store(int operation, const char *path, char *value, uptr size) {
    static const u32 types[] = {XS_read, XS_write, XS_directory, XS_rm};
    if (!ring) return -ENOSYS;
    if (operation < 0 || operation > XS_OP_REMOVE) return -EINVAL;
    bool write = operation == XS_OP_WRITE;
    int result = request(types[operation], path, write ? value : "", write ? (u32)size : 0);
    if (result >= 0 && (operation == XS_OP_READ || operation == XS_OP_LIST)) memcpy(value, reply_text, MIN((uptr)result + 1, size));
    else if (result > 0) result = 0;
    return result;
}

int store_write(const char *path, const char *value) {
    return ring ? request(XS_write, path, value, (u32)strlen(value)) : -ENOSYS;
}

u64 store_number(const char *path, u64 otherwise) {
    char text[24];
    int n = xen_store(XS_OP_READ, path, text, sizeof text);
    if (n <= 0) return otherwise;
    text[MIN(n, (int)sizeof text - 1)] = 0;
    return number(text, NULL);
}

static void watch_register(u32 index) {
    char token[4];
    format(token, sizeof token, "%u", index);
    request(XS_watch, watches[index].path, token, (u32)strlen(token) + 1);
}

void store_watch(const char *path, void (*changed)(void)) {
    if (!ring) return;
    for (u32 i = 0; i < watch_count; i++)
        if (strcmp(watches[i].path, path) == 0) return; // registered again after a resume by store_connect()
    if (watch_count == COUNT(watches)) return;
    u32 index = watch_count++;
    strcopy(watches[index].path, path, sizeof watches[index].path);
    watches[index].changed = changed;
    watch_register(index);
}

static void store_thread(void) {
    for (;;) {
        bool any = false;
        for (u32 i = 0; i < watch_count; i++) {
            if (!watches[i].fired) continue;
            watches[i].fired = false;
            any = true;
            watches[i].changed();
        }
        if (!any) sleep_on(watches, 0);
    }
}

static bool attach(void) {
    uptr frame;
    if (pv_start_info) {
        frame = pv_start_info->store_mfn;
        port = pv_start_info->store_port;
    } else {
        frame = (uptr)xen_hvm_parameter(HVM_PARAM_STORE_PFN);
        port = (u32)xen_hvm_parameter(HVM_PARAM_STORE_EVTCHN);
    }
    if (!frame || !port) return false;
    if (!ring) ring = xen_lent_page(frame);
    incoming_bytes = 0;
    event_handle(port, store_event);
    return true;
}

void store_connect(void) {
    if (!attach()) return;
    ring->response_cons = ring->response_prod;
    for (u32 i = 0; i < watch_count; i++) watch_register(i);
}

bool store_init(void) {
    if (!attach()) return false;
    kernel_thread("xenstore", store_thread);
    return true;
}
