// What the files of hw/ share.
#pragma once
#include "platform.h"

static inline void outb(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static inline void outw(u16 port, u16 value) { __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port)); }
static inline u8 inb(u16 port) {
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static inline u16 inw(u16 port) {
    u16 value;
    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static inline void wrmsr(u32 msr, u64 value) { __asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32))); }

extern bool on_xen; // the machine is a Xen PVH domain

#define IRQ_BASE 0x20
#define XEN_VECTOR 0xf3

#define TIMER_VECTOR 0x40
#define KICK_VECTOR 0x41
#define SECOND_START_PAGE 8 // page frame below 1 MiB where further CPUs start

void traps_init(void);        // the tables that all CPUs share, and this CPU's own
void traps_init_cpu(u32 cpu); // a further CPU's own

// Local APIC (cpus.c)
void apic_timer_arm(u64 deadline);
void apic_kick(u32 cpu);
void apic_interrupt(u32 vector);

// PC devices (pc.c), used when not on Xen.
void pc_console_init(void);
void pc_init(void);
void pc_interrupt(u32 irq);
void pc_console_write(const char *text, uptr bytes);
u64 pc_clock_ns(void);
u64 pc_wall_ns(void);
void pc_timer_arm(u64 deadline);
noreturn void pc_power(int how);

// ACPI (acpi.c): where to write for power-off.
void acpi_init(u64 rsdp);
extern u8 apic_ids[MAX_CPUS]; // of the CPUs that the tables name, in their order
extern u32 apic_count;
bool acpi_power_off(void);
extern u64 rsdp_address; // from the boot loader, or 0
