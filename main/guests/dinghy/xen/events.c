// Event channels, two-level form: one handler per port, called with events masked.
#include "xen.h"

struct xen_shared_info *shared_info;
static event_handler *handlers[sizeof(uptr) * 8 * sizeof(uptr) * 8];

void event_handle(u32 port, event_handler *handler) {
    handlers[port] = handler;
    // A port that became pending while masked is noticed here: unmasking alone raises no upcall.
    __atomic_and_fetch(&shared_info->mask[port / BITS], ~(1UL << port % BITS), __ATOMIC_SEQ_CST);
    if (shared_info->pending[port / BITS] & 1UL << port % BITS) {
        __atomic_or_fetch(&shared_info->vcpu[0].pending_select, 1UL << port / BITS, __ATOMIC_SEQ_CST);
        shared_info->vcpu[0].upcall_pending = 1;
    }
}

u32 event_bind_virq(u32 virq, u32 vcpu, event_handler *handler) {
    struct xen_bind_virq bind = {virq, vcpu, 0};
    long error = hypercall2(XEN_event_channel_op, EVTCHNOP_bind_virq, (uptr)&bind);
    if (error) return 0;
    event_handle(bind.port, handler);
    return bind.port;
}

static u32 ipi_ports[MAX_CPUS];

static void ipi_event(u32 port) {
    (void)port; // what is to be done, the way back to user mode and the idle loop see for themselves
    if (this_cpu()->armed) timer_arm(this_cpu()->armed); // after a resume the old timer is gone
}

void event_bind_ipi(u32 vcpu) {
    struct { u32 vcpu, port; } bind = {vcpu, 0};
    if (hypercall2(XEN_event_channel_op, EVTCHNOP_bind_ipi, (uptr)&bind)) return;
    ipi_ports[vcpu] = bind.port;
    event_handle(bind.port, ipi_event);
}

void xen_kick(u32 vcpu) {
    if (ipi_ports[vcpu]) event_send(ipi_ports[vcpu]);
}

void event_send(u32 port) {
    hypercall2(XEN_event_channel_op, EVTCHNOP_send, (uptr)&port);
}

void events_dispatch(void) {
    struct xen_vcpu_info *vcpu = this_vcpu();
    while (__atomic_exchange_n(&vcpu->upcall_pending, 0, __ATOMIC_SEQ_CST)) {
        uptr words = __atomic_exchange_n(&vcpu->pending_select, 0, __ATOMIC_SEQ_CST);
        while (words) {
            u32 word = (u32)__builtin_ctzl(words);
            words &= words - 1;
            uptr bits = shared_info->pending[word] & ~shared_info->mask[word];
            while (bits) {
                u32 bit = (u32)__builtin_ctzl(bits), port = word * BITS + bit;
                bits &= bits - 1;
                __atomic_and_fetch(&shared_info->pending[word], ~(1UL << bit), __ATOMIC_SEQ_CST);
                if (handlers[port]) handlers[port](port);
            }
        }
    }
}

void events_reset(void) {
    memset(handlers, 0, sizeof handlers);
    memset(shared_info->mask, 0xff, sizeof shared_info->mask);
}
