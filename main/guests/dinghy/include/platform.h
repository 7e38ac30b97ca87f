// The thin layer that differs between machines. Everything above it is the same code, so that measurements compare machines
// and not kernels. Implemented by hw/ (bare PC, and PVH with xen/) and by pv/ (paravirtual, with xen/).
#pragma once
#include "kernel.h"

// Registers at a trap, in the order in which the entry code pushes them.
struct trap_frame {
#ifdef __x86_64__
    u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    u64 vector, error;
    u64 ip, cs, flags, sp, ss;
#else
    u32 ds, es;
    u32 edi, esi, ebp, unused, ebx, edx, ecx, eax;
    u32 vector, error;
    u32 ip, cs, flags, sp, ss;
#endif
};
#define FROM_USER(frame) (((frame)->cs & 3) == 3)
#define FLAGS_IF 0x200

extern struct info_system machine;

/// Traps, interrupts, clock and console work after this; the log so far is printed by the caller's next printk.
void platform_init(void);
/// Devices that need processes and time.
void platform_late(void);

void console_write(const char *text, uptr bytes);

/// Nanoseconds since boot, monotonic.
u64 clock_ns(void);
/// Nanoseconds since 1970, 0 when the machine has no calendar clock.
u64 clock_wall_ns(void);
/// One interrupt at `deadline` (clock_ns time); 0 cancels.
void timer_arm(u64 deadline);
/// Gives up the kernel's lock and waits for an interrupt with interrupts on, handles it, returns with interrupts off and locked.
void cpu_idle(void);
/// Starts the machine's other CPUs; each calls cpu_run().
void platform_start_cpus(void);
/// Interrupts another CPU.
void platform_kick(u32 cpu);
/// A moment of waiting for another CPU.
void platform_relax(void);
/// Where a trap from user mode puts its frame.
void kernel_stack_set(uptr top);
noreturn void platform_power(int how);

// ---- page tables ----
/// Entry that maps pfn; and the reverse.
pte_t mmu_entry(uptr pfn, pte_t flags);
uptr mmu_pfn(pte_t entry);
/// Writes an entry of any table. Writes to live tables may be queued until mmu_flush().
void mmu_write(pte_t *entry, pte_t value);
/// Writes the lowest-level entry for va of the space in use and forgets its translation.
void mmu_write_current(uptr va, pte_t *entry, pte_t value);
void mmu_flush(void);
void mmu_flush_tlb(void);
/// A zeroed page is about to become a table of a live space: takes write access away from it (PV).
void mmu_protect_table(void *table);
/// All tables of a space become live, or stop being so.
int mmu_commit(struct aspace *as);
void mmu_retire(struct aspace *as);
void mmu_switch(struct aspace *as);
/// A fault at a kernel address may be only a stale translation on this CPU: true when the access is allowed now.
bool mmu_stale(uptr address);
/// Fills the kernel's part of a new root table.
bool mmu_kernel_part(struct aspace *as);
/// Maps a page that is not memory of ours (physical address; machine address for PV) and returns its address.
void *mmu_fixmap(u64 address, pte_t flags);

// ---- xenstore, where there is one ----
/// Reads, writes, lists or removes (XS_OP_*) `path`; `value` is input or output of at most `size` bytes. Length or negative error;
/// -ENOSYS on machines without xenstore. A list is names, each ended by a zero.
int xenstore(int operation, const char *path, char *value, uptr size);

/// Instructions.
static inline u64 rdtsc(void) {
    u32 lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return (u64)hi << 32 | lo;
}
/// Fills machine.cpu.
void cpu_read_name(void);
void cpuid(u32 leaf, u32 subleaf, u32 out[4]);

// Assembly.
void context_switch(uptr *save_sp, uptr load_sp);
void return_from_trap(void);
/// Where a new process starts: unlocks the kernel and returns to user mode.
void fork_return(void);
/// Moves the stack pointer to `frame`, calls start_init(frame) and returns to user mode.
noreturn void enter_user(struct trap_frame *frame);
void start_init(struct trap_frame *frame);
/// Segments and flags of user mode.
void user_frame_init(struct trap_frame *frame);
