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

void traps_init(void);

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
bool acpi_power_off(void);
extern u64 rsdp_address; // from the boot loader, or 0
