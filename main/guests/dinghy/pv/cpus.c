// Further vCPUs of a paravirtual domain: each is given a whole register state (VCPUOP_initialise) and brought up.
#include "pv.h"

#ifdef __x86_64__
struct user_regs {
    u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    u32 error, vector;
    u64 ip;
    u16 cs, pad0;
    u8 upcall_mask, pad1[3];
    u64 flags, sp;
    u64 ss, es, ds, fs, gs;
};
#else
struct user_regs {
    u32 ebx, ecx, edx, esi, edi, ebp, eax;
    u16 error, vector;
    u32 ip;
    u16 cs;
    u8 upcall_mask, pad0;
    u32 flags, sp;
    u32 ss, es, ds, fs, gs;
};
#endif
struct context { // vcpu_guest_context
    u8 fpu[512];
    uptr flags;
    struct user_regs regs;
    struct xen_trap_info traps[256];
    uptr ldt_base, ldt_entries, gdt_frames[16], gdt_entries, kernel_ss, kernel_sp;
    uptr control[8], debug[8];
#ifdef __x86_64__
    uptr event_callback, failsafe_callback, syscall_callback;
#else
    uptr event_cs, event_callback, failsafe_cs, failsafe_callback;
#endif
    uptr vm_assist;
#ifdef __x86_64__
    u64 fs_base, gs_base_kernel, gs_base_user;
#endif
};
_Static_assert(sizeof(struct context) == (BITS == 64 ? 5168 : 2800), "vcpu_guest_context");
#define IN_KERNEL (1 << 2)

static void second_main(void) {
    pv_traps_init();
    xen_timer_init(current()->cpu);
    cpu_run();
}

void platform_start_cpus(void) {
    u32 started = 0;
    for (u32 n = 1; n < MAX_CPUS && hypercall3(XEN_vcpu_op, VCPUOP_is_up, n, 0) >= 0; n++) {
        struct context *context = page_alloc(1);
        uptr top = context ? cpu_prepare(n) : 0;
        if (!top) break;
        memset(context, 0, sizeof *context);
        context->flags = IN_KERNEL;
        context->regs.ip = (uptr)second_main;
        context->regs.sp = top - 2 * sizeof(uptr);
        context->regs.cs = KERNEL_CS;
        context->regs.ss = KERNEL_SS;
        context->regs.ds = context->regs.es = BITS == 64 ? 0 : KERNEL_SS;
        context->regs.flags = 2;
        context->kernel_ss = KERNEL_SS;
        context->kernel_sp = top;
        uptr frame = p2m[PFN_OF(kernel_space.root)];
        context->control[0] = 0x80000001; // paging, protected mode
        context->control[3] = BITS == 64 ? frame << 12 : frame << 12 | frame >> 20;
        long error = hypercall3(XEN_vcpu_op, VCPUOP_initialise, n, (uptr)context);
        page_free(context, 1);
        if (!error && !started++) event_bind_ipi(0);
        if (!error) error = hypercall3(XEN_vcpu_op, VCPUOP_up, n, 0);
        if (error) {
            printk("vCPU %u did not start: error %d\n", n, (int)error);
            break;
        }
        // One after the other: it counts itself once it runs.
        kernel_unlock();
        while (__atomic_load_n(&cpu_count, __ATOMIC_ACQUIRE) != n + 1) platform_relax();
        kernel_lock();
    }
}
