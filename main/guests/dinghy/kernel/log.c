// The kernel log: a ring that dmesg reads. printk lines also go to the console.
#include "platform.h"

static char ring[8192];
static uptr written;

static void log_add(const char *text, uptr bytes) {
    for (uptr i = 0; i < bytes; i++) ring[written++ % sizeof ring] = text[i];
}

uptr log_copy(char *to, uptr size) {
    uptr have = MIN(MIN(written, sizeof ring), size);
    for (uptr i = 0; i < have; i++) to[i] = ring[(written - have + i) % sizeof ring];
    return have;
}

void log_only(const char *form, ...) {
    char line[256];
    __builtin_va_list arguments;
    __builtin_va_start(arguments, form);
    uptr n = (uptr)vformat(line, sizeof line, form, arguments);
    __builtin_va_end(arguments);
    log_add(line, MIN(n, sizeof line - 1));
}

void printk(const char *form, ...) {
    char line[256];
    __builtin_va_list arguments;
    __builtin_va_start(arguments, form);
    uptr n = (uptr)vformat(line, sizeof line, form, arguments);
    __builtin_va_end(arguments);
    n = MIN(n, sizeof line - 1);
    log_add(line, n);
    console_out(line, n);
}

void panic(const char *form, ...) {
    char line[256];
    __builtin_va_list arguments;
    __builtin_va_start(arguments, form);
    vformat(line, sizeof line, form, arguments);
    __builtin_va_end(arguments);
    printk("\ndinghy: panic: %s\n", line);
    platform_power(POWER_CRASH);
}
