// First C code of a paravirtual domain, and the platform interface there.
#include "pv.h"

struct xen_start_info *pv_start_info;

void pv_start(struct xen_start_info *info) {
    pv_start_info = info;
    strcopy(command_line, info->command_line, sizeof command_line);
    uptr first = pv_memory_init();
    pages_add(1, 256); // below the kernel
    pages_add(first, end_pfn);
    kernel_main();
}

// PV guests ask for the CPUID that Xen wants them to see with a prefix that Xen recognizes.
void cpuid(u32 leaf, u32 subleaf, u32 out[4]) {
    __asm__ volatile(".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e\n cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(subleaf));
}

u64 xen_hvm_parameter(u32 index) {
    (void)index;
    return 0;
}

void *xen_lent_page(uptr frame) {
    return PAGE_OF(m2p[frame]); // it is one of our own pages
}

void platform_init(void) {
    machine.bits = BITS;
    machine.vcpus = 1;
    strcopy(machine.mode, "pv", sizeof machine.mode);
    pv_traps_init();
    shared_info = mmu_fixmap(pv_start_info->shared_info, PTE_W);
    memset(shared_info->mask, 0xff, sizeof shared_info->mask);
    pv_publish_p2m();
    xen_read_version();
    cpu_read_name();
    xen_console_init();
    xen_time_init();
}

void platform_late(void) {
    xen_late_init();
}

void console_write(const char *text, uptr bytes) {
    xen_console_write(text, bytes);
}

u64 clock_ns(void) {
    return xen_clock_ns();
}

u64 clock_wall_ns(void) {
    return xen_wall_ns();
}

void timer_arm(u64 deadline) {
    xen_timer_arm(deadline);
}

void platform_power(int how) {
    xen_power(how);
}

int xenstore(int operation, const char *path, char *value, uptr size) {
    return xen_store(operation, path, value, size);
}

void platform_kick(u32 cpu) {
    xen_kick(cpu);
}

void platform_relax(void) {
    static u32 turns; // shared on purpose: it only spaces the calls
    if (++turns % 256 == 0) hypercall2(XEN_sched_op, SCHEDOP_yield, 0);
    else __asm__ volatile("pause");
}
