// GDT, TSS and IDT; the dispatcher of traps on hardware-like machines.
#include "hw.h"
#include "xen.h"

#ifdef __x86_64__
struct tss { u32 reserved0; u64 rsp[3], reserved1, ist[7], reserved2; u16 reserved3, io_map; } __attribute__((packed));
struct gate { u16 low, selector; u8 ist, type; u16 middle; u32 high, reserved; };
#else
struct tss { u32 link, esp0, ss0, other[22]; u16 trap, io_map; };
struct gate { u16 low, selector; u8 ist, type; u16 middle; };
#endif
#define KERNEL_CS 0x08
#define KERNEL_DS 0x10
#define USER_DS 0x1b
#define USER_CS 0x23
#define TSS_SELECTOR 0x28

static struct tss tasks[MAX_CPUS];
static u64 tables[MAX_CPUS][7];
static struct gate idt[256];

void kernel_stack_set(uptr top) {
#ifdef __x86_64__
    tasks[current()->cpu].rsp[0] = top;
#else
    tasks[current()->cpu].esp0 = top;
#endif
}

void user_frame_init(struct trap_frame *frame) {
    memset(frame, 0, sizeof *frame);
    frame->cs = USER_CS;
    frame->ss = USER_DS;
    frame->flags = FLAGS_IF | 2;
#ifndef __x86_64__
    frame->ds = frame->es = USER_DS;
#endif
}

void traps_init_cpu(u32 cpu) {
    struct tss *tss = &tasks[cpu];
    u64 *gdt = tables[cpu];
    u64 code = BITS == 64 ? 0x00af9b000000ffffULL : 0x00cf9b000000ffffULL, dpl3 = 3ULL << 45;
    uptr base = (uptr)tss;
    gdt[1] = code;
    gdt[2] = 0x00cf93000000ffffULL;
    gdt[3] = 0x00cf93000000ffffULL | dpl3;
    gdt[4] = code | dpl3;
    gdt[5] = (sizeof *tss - 1) | (u64)(base & 0xffffff) << 16 | 0x89ULL << 40 | (u64)(base >> 24 & 0xff) << 56;
#ifdef __x86_64__
    gdt[6] = base >> 32;
#else
    tss->ss0 = KERNEL_DS;
#endif
    tss->io_map = sizeof *tss;
    kernel_stack_set((uptr)current() + KSTACK_SIZE);
    struct { u16 limit; uptr base; } __attribute__((packed)) gdtr = {sizeof tables[0] - 1, (uptr)gdt}, idtr = {sizeof idt - 1, (uptr)idt};
    __asm__ volatile("lgdt %0\n lidt %1\n ltr %w2" : : "m"(gdtr), "m"(idtr), "r"(TSS_SELECTOR) : "memory");
#ifndef __x86_64__
    __asm__ volatile("ljmp %0, $1f\n1:" : : "i"(KERNEL_CS));
#endif
}

void traps_init(void) {
    extern char trap_stubs[];
    for (u32 vector = 0; vector < 256; vector++) {
        uptr entry = (uptr)trap_stubs + vector * 16;
        u8 type = vector == 0x80 || vector == 3 ? 0xee : 0x8e; // interrupt gates: interrupts stay off in the kernel
        idt[vector] = (struct gate){.low = (u16)entry, .selector = KERNEL_CS, .type = type, .middle = (u16)(entry >> 16)};
#ifdef __x86_64__
        idt[vector].high = (u32)(entry >> 32);
#endif
    }
    traps_init_cpu(0);
}

void trap(struct trap_frame *frame) {
    kernel_lock();
    if (frame->vector == 0x80) {
        system_call(frame);
    } else if (frame->vector == 14) {
        uptr address;
        __asm__ volatile("mov %%cr2, %0" : "=r"(address));
        page_fault(frame, address);
    } else if (frame->vector >= IRQ_BASE) {
        counters.interrupts++;
        if (frame->vector == XEN_VECTOR) events_dispatch();
        else if (frame->vector >= TIMER_VECTOR) apic_interrupt((u32)frame->vector);
        else pc_interrupt((u32)frame->vector - IRQ_BASE);
    } else {
        user_exception(frame, NULL);
    }
    if (FROM_USER(frame)) return_to_user(frame);
    kernel_unlock();
}

void cpu_idle(void) {
    kernel_unlock();
    __asm__ volatile("sti\n hlt\n cli" : : : "memory");
    kernel_lock();
}
