// Further CPUs of a PC and of a PVH domain: INIT and start-up messages through the local APIC (SDM vol. 3, 9.4.4, 11.6),
// and the APIC's own timer and interrupts for those that the PIT does not reach.
#include "hw.h"
#include "xen.h"

enum { APIC_ID = 0x20, APIC_EOI = 0xb0, APIC_SPURIOUS = 0xf0, APIC_ICR_LOW = 0x300, APIC_ICR_HIGH = 0x310, APIC_LVT_TIMER = 0x320, APIC_LVT_LINT0 = 0x350, APIC_COUNT = 0x380, APIC_NOW = 0x390, APIC_DIVIDE = 0x3e0 };
#define ICR_INIT 0x4500
#define ICR_STARTUP 0x4600
#define ICR_PENDING 0x1000

static volatile u8 *apic;
static u64 timer_khz;
static u64 deadlines[MAX_CPUS];

static u32 apic_read(u32 offset) {
    return *(volatile u32 *)(apic + offset);
}

static void apic_write(u32 offset, u32 value) {
    *(volatile u32 *)(apic + offset) = value;
}

static void apic_send(u32 cpu, u32 command) {
    apic_write(APIC_ICR_HIGH, (u32)apic_ids[cpu] << 24);
    apic_write(APIC_ICR_LOW, command);
    while (apic_read(APIC_ICR_LOW) & ICR_PENDING) platform_relax();
}

void apic_kick(u32 cpu) {
    if (apic) apic_send(cpu, KICK_VECTOR);
}

void apic_timer_arm(u64 deadline) {
    deadlines[current()->cpu] = deadline;
    u64 now = pc_clock_ns(), ns = deadline > now ? MIN(deadline - now, 1000000000ULL) : 0;
    apic_write(APIC_COUNT, deadline ? (u32)(ns * timer_khz / 1000000) + 1 : 0);
}

void apic_interrupt(u32 vector) {
    if (vector == 0xff) return; // spurious: not to be acknowledged
    apic_write(APIC_EOI, 0);
    if (vector != TIMER_VECTOR) return;
    u64 deadline = deadlines[current()->cpu];
    if (!deadline) return;
    if (pc_clock_ns() < deadline) apic_timer_arm(deadline);
    else timer_tick();
}

static void apic_enable(void) {
    apic_write(APIC_SPURIOUS, 0x1ff);
    apic_write(APIC_DIVIDE, 0xb); // by one
    apic_write(APIC_LVT_TIMER, TIMER_VECTOR);
}

static void delay(u64 ns) {
    for (u64 until = clock_ns() + ns; clock_ns() < until;) platform_relax();
}

/// Called on the CPU's own idle stack by the assembly.
void second_main(void) {
    u32 n = current()->cpu;
    traps_init_cpu(n);
    apic_enable();
    if (on_xen) xen_timer_init(n);
    cpu_run();
}

static bool counted(u32 n, u64 ns) {
    for (u64 until = clock_ns() + ns; clock_ns() < until;) {
        if (__atomic_load_n(&cpu_count, __ATOMIC_ACQUIRE) == n + 1) return true;
        platform_relax();
    }
    return false;
}

void platform_start_cpus(void) {
    extern char second_start[], second_end[];
    extern uptr second_stack;
    extern pte_t boot_root[];
    if (apic_count < 2) return;
    apic = mmu_fixmap(0xfee00000, PTE_W | PTE_PCD);
    u32 self = apic_read(APIC_ID) >> 24;
    for (u32 i = 1; i < apic_count; i++) // this CPU is number 0
        if (apic_ids[i] == self) apic_ids[i] = apic_ids[0], apic_ids[0] = (u8)self;
    apic_enable();
    if (on_xen) {
        event_bind_ipi(0);
    } else {
        apic_write(APIC_LVT_LINT0, 0x700); // the PIC's interrupts come through here
        apic_write(APIC_COUNT, ~0U);
        delay(200000);
        timer_khz = (~0U - apic_read(APIC_NOW)) * 5ULL;
        apic_write(APIC_COUNT, 0);
    }
    memcpy(VIRT(SECOND_START_PAGE * PAGE_SIZE), second_start, (uptr)(second_end - second_start));
    boot_root[0] = boot_root[LEVELS == 4 ? 511 : 3]; // the identity mapping again, while they switch paging on
    for (u32 n = 1; n < apic_count; n++) {
        uptr top = cpu_prepare(n);
        if (!top) break;
        second_stack = top - 2 * sizeof(uptr);
        barrier();
        kernel_unlock();
        apic_send(n, ICR_INIT);
        delay(10000);
        apic_send(n, ICR_STARTUP | SECOND_START_PAGE);
        bool up = counted(n, 20000000);
        if (!up) {
            apic_send(n, ICR_STARTUP | SECOND_START_PAGE);
            up = counted(n, 100000000);
        }
        kernel_lock();
        if (!up) {
            printk("CPU %u did not start\n", n);
            break;
        }
    }
    boot_root[0] = 0;
    mmu_flush_tlb();
}
