// The console as processes see it: bytes typed wait in a ring; the shell does its own line editing.
#include "platform.h"

static u8 typed[1024];
static u32 head, tail;

void console_received(u8 byte) {
    if (byte == 3) { // Control-C
        process_interrupt();
    }
    if (head - tail < sizeof typed) typed[head++ % sizeof typed] = byte;
    wakeup(typed);
}

int console_read(u8 *to, uptr bytes) {
    while (head == tail)
        if (sleep_on(typed, 0) == -EINTR) return -EINTR;
    uptr n = 0;
    while (n < bytes && head != tail) to[n++] = typed[tail++ % sizeof typed];
    return (int)n;
}

void console_out(const char *text, uptr bytes) {
    // Terminals want a carriage return before each line feed.
    for (uptr from = 0; from < bytes;) {
        uptr to = from;
        while (to < bytes && text[to] != '\n') to++;
        if (to > from) console_write(text + from, to - from);
        if (to < bytes) console_write("\r\n", 2);
        from = to + 1;
    }
}
