/*
 * Runs every kernel as often as asked and marks begin and end on the serial port: "B name", "E checksum". In 32 bits all of them, under
 * paging that it sets up here; in 64 bits those that compute, under the paging of entry64.S.
 */
#include "bench.h"

static void out(u16 port, u8 v) { asm volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static u8 in(u16 port) { u8 v; asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static void put(char c)
{
    while (!(in(0x3fd) & 0x20)) {}
    out(0x3f8, (u8)c);
}
static void text(const char *s) { while (*s) put(*s++); }

#ifndef __x86_64__
volatile u32 traps;
u32 page_table[32 * 1024] __attribute__((aligned(4096)));
static u32 page_directory[1024] __attribute__((aligned(4096)));

extern void trap_entry(void), fault_entry(void);
static struct { u16 low, selector; u8 zero, type; u16 high; } __attribute__((packed)) idt[256];
static void gate(int vector, void (*entry)(void))
{
    u32 at = (u32)entry;
    idt[vector].low = (u16)at;
    idt[vector].high = (u16)(at >> 16);
    idt[vector].selector = 8;
    idt[vector].type = 0x8e;
}
static void set_up(void)
{
    for (u32 i = 0; i < 32 * 1024; i++)
        page_table[i] = i << 12 | 3;
    for (u32 i = 0; i < 32; i++)
        page_directory[i] = (u32)&page_table[i * 1024] | 3;
    asm volatile("mov %0, %%cr3; mov %%cr0, %%eax; or $0x80010000, %%eax; mov %%eax, %%cr0" : : "r"(page_directory) : "eax", "memory");
    asm volatile("fninit");
    gate(0x80, trap_entry);
    gate(14, fault_entry);
    struct { u16 limit; u32 base; } __attribute__((packed)) idtr = { sizeof idt - 1, (u32)idt };
    asm volatile("lidt %0" : : "m"(idtr));
}
#endif

static void measure(const struct kernel *k, u32 times)
{
    for (u32 i = 0; i < times; i++) {
        if (k->prepare) k->prepare(k->n);
        text("B ");
        text(k->name);
        put('\n');
        u32 sum = k->run(k->n);
        text("E ");
        for (int shift = 28; shift >= 0; shift -= 4)
            put("0123456789abcdef"[sum >> shift & 15]);
        put('\n');
    }
}

/* `info` is the multiboot information: its flags' bit 2 says that word 4 is the command line. */
void start(const u32 *info)
{
    const char *command = info && (info[0] & 4) ? (const char *)(unsigned long)info[4] : "";
    const u32 times = repetitions(command);
#ifndef __x86_64__
    set_up();
#endif
    for (u32 i = 0; i < computing_count; i++)
        if (!left_out(command, computing[i].name)) measure(&computing[i], times);
#ifndef __x86_64__
    for (u32 i = 0; i < systemic_count; i++)
        if (!left_out(command, systemic[i].name)) measure(&systemic[i], times);
#endif
    text("DONE\n");
    for (;;)
        asm volatile("cli; hlt");
}
