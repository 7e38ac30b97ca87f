// Traps of a paravirtual domain: Xen's trap table and callbacks instead of an IDT.
#include "pv.h"

void kernel_stack_set(uptr top) {
    hypercall2(XEN_stack_switch, KERNEL_SS, top);
}

void user_frame_init(struct trap_frame *frame) {
    memset(frame, 0, sizeof *frame);
    frame->cs = USER_CS;
    frame->ss = USER_SS;
    frame->flags = FLAGS_IF | 2;
#ifndef __x86_64__
    frame->ds = frame->es = USER_DS;
#endif
}

extern char trap_stubs[], system_call_entry[], event_entry[], failsafe_entry[];

void pv_traps_init(void) {
    static struct xen_trap_info table[34];
    u32 n = 0;
    for (u32 vector = 0; vector < 20; vector++) {
        if (vector == 2 || vector == 8 || vector == 9 || vector == 15 || vector == 18) continue; // Xen keeps these
        u8 flags = (vector == 3 || vector == 4 ? 3 : 0) | 4;                                     // 4: events masked on entry
        table[n++] = (struct xen_trap_info){(u8)vector, flags, KERNEL_CS, (uptr)trap_stubs + vector * (BITS == 64 ? 16 : 16)};
    }
    table[n++] = (struct xen_trap_info){0x80, 3 | 4, KERNEL_CS, (uptr)system_call_entry};
    table[n] = (struct xen_trap_info){0, 0, 0, 0};
    long error = hypercall1(XEN_set_trap_table, (uptr)table);
#ifdef __x86_64__
    if (!error) error = hypercall3(XEN_set_callbacks, (uptr)event_entry, (uptr)failsafe_entry, 0);
#else
    if (!error) error = hypercall4(XEN_set_callbacks, KERNEL_CS, (uptr)event_entry, KERNEL_CS, (uptr)failsafe_entry);
#endif
    if (error) panic("Xen refused the trap table: error %d", (int)error);
    kernel_stack_set((uptr)current() + KSTACK_SIZE);
}

void trap(struct trap_frame *frame) {
    kernel_lock();
    if (frame->vector == 0x80) {
        system_call(frame);
    } else if (frame->vector == 14) {
        page_fault(frame, this_vcpu()->cr2);
    } else if (frame->vector == 0x100) {
        counters.interrupts++;
        events_dispatch();
    } else {
        user_exception(frame, NULL);
    }
    if (FROM_USER(frame)) return_to_user(frame);
    kernel_unlock();
}

void cpu_idle(void) {
    // Blocking unmasks events at the same instant; the callback has run when it returns.
    kernel_unlock();
    hypercall2(XEN_sched_op, SCHEDOP_block, 0);
    this_vcpu()->upcall_mask = 1;
    barrier();
    kernel_lock();
}
