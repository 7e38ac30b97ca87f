// Suspend, for save and migration. After it this may be a new domain on another host: event channels are bound anew, the rings
// of console and xenstore go on where they were, and the clock continues. Toolstacks expect the call to come from vCPU 0.
#include "xen.h"

void xen_suspend(void) {
    process_first_cpu(true);
    xen_clock_suspend();
    grants_suspend();
    int cancelled = platform_suspend();
    xen_clock_continue();
    grants_resume();
    if (!cancelled) {
        events_reset();
        xen_console_init();
        xen_time_init();
    }
    xen_timers_resume(); // before anything that waits: other processes run meanwhile and must be interrupted
    if (!cancelled) {
        store_connect();
        bus_resume();
    }
    process_first_cpu(false);
    log_only("%s at %u ms\n", cancelled ? "suspend was cancelled" : "resumed", (u32)(xen_clock_ns() / 1000000));
}
