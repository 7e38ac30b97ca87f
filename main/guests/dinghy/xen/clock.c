// Time on Xen: the clock is vcpu_time_info (a TSC reading with scale), the timer vcpu_op's single-shot timer.
#include "xen.h"

/// (value << shift) * mul / 2^32, as Xen's and KVM's clocks define it.
u64 clock_scale(u64 value, u32 mul, s8 shift) {
    if (shift < 0) value >>= -shift;
    else value <<= shift;
    return ((value >> 32) * mul) + (((value & 0xffffffff) * mul) >> 32);
}

// Xen's system time starts anew on another host: the difference is kept, so that the guest's clock never jumps back.
static u64 offset, stopped_at, last_deadline[MAX_CPUS];

static u64 system_time(void) {
    const volatile struct xen_time_info *time = &this_vcpu()->time;
    for (;;) {
        u32 version = time->version;
        barrier();
        u64 ns = time->system_time + clock_scale(rdtsc() - time->tsc_timestamp, time->mul, time->shift);
        barrier();
        if (!(version & 1) && version == time->version) return ns;
    }
}

u64 xen_clock_ns(void) {
    return system_time() + offset;
}

u64 xen_wall_ns(void) {
    const volatile struct xen_shared_info *info = shared_info;
    for (;;) {
        u32 version = info->wc_version;
        barrier();
        u64 boot = (info->wc_sec | (u64)info->wc_sec_hi << 32) * 1000000000ULL + info->wc_nsec;
        barrier();
        if (!(version & 1) && version == info->wc_version) return boot + system_time();
    }
}

static void timer_event(u32 port) {
    (void)port;
    last_deadline[current()->cpu] = 0;
    timer_tick();
}

void xen_timer_arm(u64 deadline) {
    last_deadline[current()->cpu] = deadline;
    if (!deadline) {
        hypercall3(XEN_vcpu_op, VCPUOP_stop_singleshot_timer, current()->cpu, 0);
        return;
    }
    struct xen_singleshot timer = {deadline - offset, 0}; // a deadline that has passed fires at once; offset counts modulo 2^64
    hypercall3(XEN_vcpu_op, VCPUOP_set_singleshot_timer, current()->cpu, (uptr)&timer);
}

void xen_timer_init(u32 vcpu) {
    if (!event_bind_virq(VIRQ_TIMER, vcpu, timer_event)) panic("Xen refused the timer interrupt of CPU %u", vcpu);
    hypercall3(XEN_vcpu_op, VCPUOP_stop_periodic_timer, vcpu, 0);
    if (vcpu || cpu_count > 1) event_bind_ipi(vcpu);
}

void xen_time_init(void) {
    for (u32 vcpu = 0; vcpu < cpu_count; vcpu++) xen_timer_init(vcpu);
    const struct xen_time_info *time = &shared_info->vcpu[0].time;
    // Hz = (10^9 << 32) / mul >> shift
    if (time->mul) {
        u64 khz = (1000000ULL << 32) / time->mul;
        machine.tsc_khz = (u32)(time->shift < 0 ? khz << -time->shift : khz >> time->shift);
    }
}

void xen_clock_suspend(void) {
    stopped_at = xen_clock_ns();
}

void xen_clock_continue(void) {
    offset = stopped_at - system_time(); // modulo 2^64
}

void xen_timers_resume(void) {
    if (last_deadline[current()->cpu]) xen_timer_arm(last_deadline[current()->cpu]);
    // The others cannot be armed from here: interrupted, each finds its time come or arms anew.
    for (u32 i = 0; i < cpu_count; i++)
        if (i != current()->cpu) xen_kick(i);
}
