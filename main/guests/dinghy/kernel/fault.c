// Exceptions: page faults are resolved or end the process; others end the process; in the kernel each is a bug.
#include "platform.h"

static const char *const names[32] = {
    "divide error", "debug", "NMI", "breakpoint", "overflow", "bound", "invalid opcode", "no FPU", "double fault", "FPU segment",
    "invalid TSS", "segment not present", "stack fault", "general protection", "page fault", "reserved", "FPU error", "alignment", "machine check",
    "SIMD error",
};

// The signal that each exception stands for; the rest are SIGSEGV.
static u32 signal_of(u64 vector) {
    switch (vector) {
    case 0: case 16: case 19: return SIGFPE;
    case 1: case 3: return SIGTRAP;
    case 6: case 7: return SIGILL;
    case 17: return SIGBUS;
    default: return SIGSEGV;
    }
}

static void end_process(struct trap_frame *frame, const char *why, uptr address, u32 signal) {
    if (signal != SIGKILL && signal_exception(signal)) return;
    printk("%s[%d]: %s at ip %p, address %p, error %x\n", current()->name, current()->pid, why, (void *)(uptr)frame->ip, (void *)address, (u32)frame->error);
    process_exit(128 + (int)signal);
}

void page_fault(struct trap_frame *frame, uptr address) {
    if (!FROM_USER(frame) && mmu_stale(address)) return;
    if (!FROM_USER(frame)) panic("page fault in the kernel at ip %p, address %p, error %x", (void *)(uptr)frame->ip, (void *)address, (u32)frame->error);
    int error = aspace_fault(current()->space, address, frame->error & 2);
    if (error == -ENOMEM) end_process(frame, "out of memory", address, SIGKILL);
    else if (error) end_process(frame, "invalid memory access", address, SIGSEGV);
}

void user_exception(struct trap_frame *frame, const char *what) {
    if (!what) what = frame->vector < 32 && names[frame->vector] ? names[frame->vector] : "exception";
    if (!FROM_USER(frame)) panic("%s in the kernel at ip %p, error %x", what, (void *)(uptr)frame->ip, (u32)frame->error);
    end_process(frame, what, 0, signal_of(frame->vector));
}
