// What the toolstack asks for through xenstore: shut down, reboot, suspend, and how much memory to keep (balloon).
#include "xen.h"

static void shutdown_requested(void) {
    char what[16];
    int n = xen_store(XS_OP_READ, "control/shutdown", what, sizeof what);
    if (n <= 0) return;
    what[MIN(n, (int)sizeof what - 1)] = 0;
    store_write("control/shutdown", ""); // seen
    if (strcmp(what, "poweroff") == 0 || strcmp(what, "halt") == 0) {
        printk("\nshutdown requested\n");
        platform_power(POWER_OFF);
    } else if (strcmp(what, "reboot") == 0) {
        printk("\nreboot requested\n");
        platform_power(POWER_REBOOT);
    } else if (strcmp(what, "suspend") == 0) {
        xen_suspend();
    } else {
        printk("\nunknown request \"%s\" in control/shutdown\n", what);
    }
}

// ---- balloon ----

static u32 balloon; // pfn of the first page given back; linked through struct page

#define BATCH 128
static uptr frames[BATCH];

static long reserve(u32 operation, u32 count) {
    struct xen_reservation reservation = {.extents = frames, .count = count, .domid = DOMID_SELF};
    return hypercall2(XEN_memory_op, operation, (uptr)&reservation);
}

static bool give_back(uptr wanted) {
    u32 n = 0;
    uptr numbers[BATCH];
    while (n < wanted && n < BATCH && free_pages > 256) { // leave a MiB for the kernel
        void *page = page_alloc(0);
        if (!page) break;
        numbers[n] = PFN_OF(page);
        frames[n++] = balloon_take(page);
    }
    if (!n) return false;
    long done = reserve(XENMEM_decrease_reservation, n);
    for (u32 i = 0; i < n; i++) {
        if ((long)i >= done) {
            balloon_return(numbers[i], frames[i]);
            page_free(PAGE_OF(numbers[i]), 0);
            continue;
        }
        pages[numbers[i]].next = balloon;
        balloon = (u32)numbers[i];
        ballooned_pages++;
    }
    return done == (long)n;
}

static bool take_again(uptr wanted) {
    u32 n = 0;
    uptr numbers[BATCH];
    for (u32 pfn = balloon; pfn && n < wanted && n < BATCH; pfn = pages[pfn].next) frames[n] = numbers[n] = pfn, n++;
    if (!n) return false;
    long done = reserve(XENMEM_populate_physmap, n);
    for (long i = 0; i < done; i++) {
        balloon = pages[numbers[i]].next;
        ballooned_pages--;
        balloon_return(numbers[i], frames[i]);
        page_free(PAGE_OF(numbers[i]), 0);
    }
    return done == (long)n;
}

static void target_changed(void) {
    u64 target = store_number("memory/target", 0) / 4; // KiB to pages
    if (!target) return;
    uptr before = ballooned_pages;
    for (;;) {
        uptr have = end_pfn - ballooned_pages;
        if (have > target) {
            if (!give_back(have - (uptr)target)) break;
        } else if (have < target && balloon) {
            if (!take_again((uptr)target - have)) break;
        } else {
            break;
        }
    }
    if (ballooned_pages != before) log_only("memory is now %lu KiB of %lu KiB\n", (unsigned long)((end_pfn - ballooned_pages) * 4), (unsigned long)(end_pfn * 4));
}

static void control_thread(void) {
    store_write("control/feature-poweroff", "1");
    store_write("control/feature-reboot", "1");
    store_write("control/feature-suspend", "1");
    store_watch("control/shutdown", shutdown_requested);
    store_watch("memory/target", target_changed);
    bus_init();
    static int nothing;
    for (;;) sleep_on(&nothing, 0);
}

void xen_late_init(void) {
    if (store_init()) kernel_thread("control", control_thread);
}
