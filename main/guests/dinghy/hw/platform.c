// The platform interface on hardware-like machines: chooses between the PC's devices and Xen's at run time.
#include "hw.h"
#include "xen.h"

void platform_init(void) {
    machine.bits = BITS;
    machine.vcpus = 1;
    traps_init();
    cpu_read_name();
    acpi_init(rsdp_address);
    if (on_xen) {
        strcopy(machine.mode, "pvh", sizeof machine.mode);
        xen_pvh_init(XEN_VECTOR);
        xen_console_init();
        xen_time_init();
    } else {
        strcopy(machine.mode, "native", sizeof machine.mode);
        pc_init();
    }
}

void platform_late(void) {
    if (on_xen) xen_late_init();
}

void console_write(const char *text, uptr bytes) {
    on_xen ? xen_console_write(text, bytes) : pc_console_write(text, bytes);
}

u64 clock_ns(void) {
    return on_xen ? xen_clock_ns() : pc_clock_ns();
}

u64 clock_wall_ns(void) {
    return on_xen ? xen_wall_ns() : pc_wall_ns();
}

void timer_arm(u64 deadline) {
    on_xen ? xen_timer_arm(deadline) : pc_timer_arm(deadline);
}

void platform_power(int how) {
    if (on_xen) xen_power(how);
    pc_power(how);
}

int xenstore(int operation, const char *path, char *value, uptr size) {
    return on_xen ? xen_store(operation, path, value, size) : -ENOSYS;
}

void platform_kick(u32 cpu) {
    on_xen ? xen_kick(cpu) : apic_kick(cpu);
}

void platform_relax(void) {
    __asm__ volatile("pause");
}
