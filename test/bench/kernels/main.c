/* Runs every kernel REPEAT times and marks begin and end on the serial port: "B name", "E checksum". */
#include "bench.h"

#define REPEAT 3
volatile u32 traps;
u32 page_table[32 * 1024] __attribute__((aligned(4096)));
static u32 page_directory[1024] __attribute__((aligned(4096)));

extern void trap_entry(void), fault_entry(void);
static struct { u16 low, selector; u8 zero, type; u16 high; } __attribute__((packed)) idt[256];

static void out(u16 port, u8 v) { asm volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static u8 in(u16 port) { u8 v; asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static void put(char c)
{
    while (!(in(0x3fd) & 0x20)) {}
    out(0x3f8, (u8)c);
}
static void text(const char *s) { while (*s) put(*s++); }
static void gate(int vector, void (*entry)(void))
{
    u32 at = (u32)entry;
    idt[vector].low = (u16)at;
    idt[vector].high = (u16)(at >> 16);
    idt[vector].selector = 8;
    idt[vector].type = 0x8e;
}
/* Whether the command line says only=a,b,... and not this name. */
static int left_out(const char *command, const char *name)
{
    const char *at = 0;
    for (; *command; command++)
        if (command[0] == 'o' && command[1] == 'n' && command[2] == 'l' && command[3] == 'y' && command[4] == '=')
            at = command + 5;
    while (at && *at) {
        const char *n = name;
        while (*n && *n == *at) n++, at++;
        if (!*n && (!*at || *at == ',' || *at == ' ')) return 0;
        while (*at && *at != ',' && *at != ' ') at++;
        if (*at != ',') return 1;
        at++;
    }
    return 0;
}
static void measure(const struct kernel *k)
{
    for (int i = 0; i < REPEAT; i++) {
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
    const char *command = info && (info[0] & 4) ? (const char *)info[4] : "";
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
    for (u32 i = 0; i < computing_count; i++)
        if (!left_out(command, computing[i].name)) measure(&computing[i]);
    for (u32 i = 0; i < systemic_count; i++)
        if (!left_out(command, systemic[i].name)) measure(&systemic[i]);
    text("DONE\n");
    for (;;)
        asm volatile("cli; hlt");
}
