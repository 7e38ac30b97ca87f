// Suspend, for save and migration. After it this may be a new domain on another host: event channels are bound anew, the rings
// of console and xenstore go on where they were, and the clock continues.
#include "xen.h"

void xen_suspend(void) {
    xen_clock_suspend();
    grants_suspend();
    int cancelled = platform_suspend();
    grants_resume();
    if (!cancelled) {
        events_reset();
        xen_console_init();
        xen_time_init();
        store_connect();
        bus_resume();
    }
    xen_clock_resume();
    log_only("%s at %u ms\n", cancelled ? "suspend was cancelled" : "resumed", (u32)(xen_clock_ns() / 1000000));
}
