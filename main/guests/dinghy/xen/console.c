// The console ring; or, in the initial domain and where no ring exists, the hypervisor's own console.
#include "xen.h"

static struct xen_console_ring *ring;
static u32 ring_port;

static void ring_event(u32 port) {
    u32 cons = ring->in_cons, prod = __atomic_load_n(&ring->in_prod, __ATOMIC_ACQUIRE);
    if (cons == prod) return;
    for (; cons != prod; cons++) console_received((u8)ring->in[cons % sizeof ring->in]);
    __atomic_store_n(&ring->in_cons, cons, __ATOMIC_RELEASE);
    event_send(port);
}

static void emergency_event(u32 port) {
    (void)port;
    char bytes[16];
    long n;
    while ((n = hypercall3(XEN_console_io, CONSOLEIO_read, sizeof bytes, (uptr)bytes)) > 0)
        for (long i = 0; i < n; i++) console_received((u8)bytes[i]);
}

void xen_console_init(void) {
    uptr frame;
    if (pv_start_info) {
        bool initial = pv_start_info->flags & SIF_INITDOMAIN; // its console fields mean something else
        frame = initial ? 0 : pv_start_info->console_mfn;
        ring_port = initial ? 0 : pv_start_info->console_port;
    } else {
        frame = (uptr)xen_hvm_parameter(HVM_PARAM_CONSOLE_PFN);
        ring_port = (u32)xen_hvm_parameter(HVM_PARAM_CONSOLE_EVTCHN);
    }
    if (!frame || !ring_port) {
        event_bind_virq(VIRQ_CONSOLE, 0, emergency_event); // refused to all but the initial domain
        return;
    }
    ring = xen_lent_page(frame);
    event_handle(ring_port, ring_event);
}

void xen_console_write(const char *text, uptr bytes) {
    if (!ring) {
        hypercall3(XEN_console_io, CONSOLEIO_write, bytes, (uptr)text);
        return;
    }
    u32 waits = 0;
    while (bytes) {
        u32 prod = ring->out_prod, room = sizeof ring->out - (prod - __atomic_load_n(&ring->out_cons, __ATOMIC_ACQUIRE));
        if (room == 0) {
            // Nobody reads: after a while output is dropped, so that a guest never hangs for want of a reader.
            if (++waits > 100000) return;
            event_send(ring_port);
            hypercall2(XEN_sched_op, SCHEDOP_yield, 0);
            continue;
        }
        waits = 0;
        for (; room && bytes; room--, bytes--) ring->out[prod++ % sizeof ring->out] = *text++;
        __atomic_store_n(&ring->out_prod, prod, __ATOMIC_RELEASE);
    }
    event_send(ring_port);
}
