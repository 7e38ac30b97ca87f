// The PC's devices: 16550 UART on COM1, 8259 PICs, 8254 PIT, the TSC as clock, CMOS clock, reset and power-off.
#include "hw.h"
#include "xen.h"

#define COM1 0x3f8
#define PIT_HZ 1193182U

static u64 tsc_start, timer_deadline;
static u32 tsc_mul, tsc_shift;
static u64 wall_at_start;

u64 pc_clock_ns(void) {
    return clock_scale(rdtsc() - tsc_start, tsc_mul, (s8)tsc_shift);
}

u64 pc_wall_ns(void) {
    return wall_at_start + pc_clock_ns();
}

// ---- UART ----

void pc_console_write(const char *text, uptr bytes) {
    while (bytes) {
        while (!(inb(COM1 + 5) & 0x20)) __asm__ volatile("pause");
        for (u32 room = 16; room && bytes; room--, bytes--) outb(COM1, (u8)*text++); // the FIFO is empty now
    }
}

static void uart_init(void) {
    outb(COM1 + 1, 0);
    outb(COM1 + 3, 0x80);
    outb(COM1 + 0, 1); // 115200 baud
    outb(COM1 + 1, 0);
    outb(COM1 + 3, 3);    // 8 data bits, no parity
    outb(COM1 + 2, 0x07); // FIFOs on and empty, interrupt at the first byte
    outb(COM1 + 4, 0x0b); // DTR, RTS, interrupts through
    outb(COM1 + 1, 1);    // received data
}

static void uart_interrupt(void) {
    while (inb(COM1 + 5) & 1) console_received(inb(COM1));
    inb(COM1 + 2);
}

// ---- PIC, PIT ----

static void pic_init(void) {
    outb(0x20, 0x11), outb(0xa0, 0x11);
    outb(0x21, IRQ_BASE), outb(0xa1, IRQ_BASE + 8);
    outb(0x21, 4), outb(0xa1, 2);
    outb(0x21, 1), outb(0xa1, 1);
    outb(0x21, (u8) ~(1 << 0 | 1 << 4)), outb(0xa1, 0xff); // timer and COM1
}

// Channel 2 counts down once while the TSC runs: 2 ms of it give the TSC's frequency to better than 0.1%.
static void tsc_calibrate(void) {
    u32 count = PIT_HZ / 500;
    outb(0x61, (inb(0x61) & ~2) | 1); // gate on, speaker off
    outb(0x43, 0xb0);                 // channel 2, both bytes, mode 0
    outb(0x42, (u8)count);
    outb(0x42, (u8)(count >> 8));
    u64 before = rdtsc();
    while (!(inb(0x61) & 0x20)) {}
    u64 hz = (rdtsc() - before) * 500;
    machine.tsc_khz = (u32)(hz / 1000);
    while ((1000000000ULL << 32) / (hz << tsc_shift) >> 32) tsc_shift++;
    tsc_mul = (u32)((1000000000ULL << 32) / (hz << tsc_shift));
}

void pc_timer_arm(u64 deadline) {
    if (current()->cpu) {
        apic_timer_arm(deadline); // the PIT interrupts the first CPU only
        return;
    }
    timer_deadline = deadline;
    if (!deadline) return;
    u64 now = pc_clock_ns();
    u64 ns = deadline > now ? deadline - now : 0;
    u64 count = MIN(ns, 50000000ULL) * PIT_HZ / 1000000000U + 1; // a longer wait takes several steps
    outb(0x43, 0x30);                                             // channel 0, both bytes, mode 0
    outb(0x40, (u8)count);
    outb(0x40, (u8)(count >> 8));
}

static void timer_interrupt(void) {
    if (!timer_deadline) return;
    if (pc_clock_ns() < timer_deadline) pc_timer_arm(timer_deadline);
    else timer_deadline = 0, timer_tick();
}

void pc_interrupt(u32 irq) {
    if (irq >= 8) outb(0xa0, 0x20);
    outb(0x20, 0x20);
    if (irq == 0) timer_interrupt();
    else if (irq == 4) uart_interrupt();
}

// ---- calendar ----

static u32 cmos(u8 index) {
    outb(0x70, index);
    return inb(0x71);
}

static u64 read_calendar(void) {
    u32 field[6]; // second, minute, hour, day, month, year
    static const u8 index[6] = {0, 2, 4, 7, 8, 9};
    for (u32 tries = 0; cmos(10) & 0x80; tries++)
        if (tries > 100000) return 0;
    for (u32 i = 0; i < 6; i++) field[i] = cmos(index[i]);
    if (!(cmos(11) & 4))
        for (u32 i = 0; i < 6; i++) field[i] = (field[i] & 15) + (field[i] >> 4) * 10;
    u32 year = 2000 + field[5], month = field[4];
    if (month < 1 || month > 12 || field[3] < 1 || field[3] > 31) return 0;
    // Days since 1970 (proleptic Gregorian calendar, years counted from March).
    u32 y = month <= 2 ? year - 1 : year, m = (month + 9) % 12;
    u64 days = 365ULL * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + field[3] - 1 - 719468;
    return ((days * 24 + field[2]) * 60 + field[1]) * 60 + field[0];
}

void pc_init(void) {
    tsc_start = rdtsc();
    uart_init();
    pic_init();
    tsc_calibrate();
    wall_at_start = read_calendar() * 1000000000ULL;
}

void pc_power(int how) {
    if (how == POWER_OFF) acpi_power_off();
    if (how == POWER_REBOOT) {
        outb(0xcf9, 0x02);
        outb(0xcf9, 0x06);
        outb(0x64, 0xfe);
    }
    for (u64 until = pc_clock_ns() + 100000000; how != POWER_CRASH && pc_clock_ns() < until;) platform_relax(); // it may take a moment
    if (how != POWER_CRASH) pc_console_write("the machine did not react; halted\r\n", 35);
    for (;;) __asm__ volatile("cli\n hlt");
}
