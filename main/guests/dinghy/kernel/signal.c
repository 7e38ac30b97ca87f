// Signals: sent to a process, delivered on its way back to user mode by a call of its handler on its own stack.
#include "platform.h"

// What a handler's call leaves on the user's stack, and its end takes from there.
struct signal_frame {
    struct trap_frame registers;
    u32 blocked;
};
#define USER_FLAGS 0xcd5U // CF PF AF ZF SF DF OF: what a program may set itself

void signal_send(struct process *p, u32 signal) {
    u32 bit = 1U << signal;
    bool handled = signal != SIGKILL && p->handlers[signal];
    if (signal != SIGKILL && ((p->ignored & bit) || (signal == SIGCHLD && !handled))) return;
    if (handled) {
        p->pending |= bit;
    } else if (!p->killed) {
        p->killed = true;
        p->killed_by = (u8)signal;
    }
    if (signal_waits(p)) process_notify(p);
}

static bool enter(struct trap_frame *frame, u32 signal) {
    struct process *me = current();
    uptr saved = ROUND_DOWN(frame->sp - sizeof(struct signal_frame), 16), sp = saved - (BITS == 64 ? 1 : 2) * sizeof(uptr);
    if (sp > frame->sp || user_range(sp, saved + sizeof(struct signal_frame) - sp, true)) return false;
    *(struct signal_frame *)saved = (struct signal_frame){*frame, me->blocked};
    *(uptr *)sp = me->signal_return;
    me->blocked |= 1U << signal;
    frame->sp = sp;
    frame->ip = me->handlers[signal];
    frame->flags &= ~(uptr)0x400; // the ABI wants DF clear
#ifdef __x86_64__
    frame->rdi = signal;
#else
    ((uptr *)sp)[1] = signal;
#endif
    return true;
}

void signal_deliver(struct trap_frame *frame) {
    struct process *me = current();
    if (me->killed) process_exit(128 + me->killed_by);
    for (u32 signal = 1; signal < SIGNALS; signal++) {
        if (!(me->pending & ~me->blocked & 1U << signal)) continue;
        me->pending &= ~(1U << signal);
        if (me->handlers[signal] && !enter(frame, signal)) process_exit(128 + SIGSEGV);
    }
}

bool signal_exception(u32 signal) {
    struct process *me = current();
    if (!me->handlers[signal] || (me->blocked & 1U << signal)) return false;
    me->pending |= 1U << signal;
    return true;
}

int signal_action(u32 signal, uptr handler, uptr signal_return) {
    struct process *me = current();
    if (signal == 0 || signal >= SIGNALS || signal == SIGKILL) return -EINVAL;
    u32 bit = 1U << signal;
    me->ignored &= ~bit;
    if (handler == SIGNAL_IGNORE) me->ignored |= bit;
    me->handlers[signal] = handler == SIGNAL_IGNORE ? 0 : handler;
    if (!me->handlers[signal]) me->pending &= ~bit;
    if (signal_return) me->signal_return = signal_return;
    return 0;
}

uptr signal_return(struct trap_frame *frame, uptr saved) {
    if (user_range(saved, sizeof(struct signal_frame), false)) process_exit(128 + SIGSEGV);
    const struct signal_frame *from = (const struct signal_frame *)saved;
    struct trap_frame old = *frame;
    *frame = from->registers;
    current()->blocked = from->blocked;
    // What decides over privilege stays what the trap saved.
    frame->cs = old.cs;
    frame->ss = old.ss;
    frame->vector = old.vector;
    frame->error = old.error;
    frame->flags = (old.flags & ~(uptr)USER_FLAGS) | (frame->flags & USER_FLAGS);
#ifdef __x86_64__
    return frame->rax;
#else
    frame->ds = old.ds;
    frame->es = old.es;
    return frame->eax;
#endif
}
