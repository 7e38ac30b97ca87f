/*
 * What the shell cannot ask for by itself, inside Linux: `work switches N`, two processes that pass a byte back and forth N times through
 * two pipes; `work faults N`, 16 MiB of fresh memory touched page by page, N times. Prints a number that depends on all of it.
 */
#include "linux-calls.h"

enum { PAGE = 4096, AREA = 16 << 20 };

static unsigned number(const char *s)
{
    unsigned n = 0;
    while (*s >= '0' && *s <= '9') n = n * 10 + (unsigned)(*s++ - '0');
    return n;
}
static void print(unsigned v)
{
    char text[12];
    unsigned at = sizeof text;
    text[--at] = '\n';
    do text[--at] = (char)('0' + v % 10); while (v /= 10);
    call(CALL_WRITE, 1, (long)(text + at), (long)(sizeof text - at), 0, 0);
}

static unsigned switches(unsigned n)
{
    int there[2], back[2];
    unsigned char byte = 0;
    unsigned sum = 0;
    call(CALL_PIPE, (long)there, 0, 0, 0, 0);
    call(CALL_PIPE, (long)back, 0, 0, 0, 0);
    const long child = call(CALL_FORK, 0, 0, 0, 0, 0);
    if (child == 0) {
        for (unsigned i = 0; i < n; i++) {
            call(CALL_READ, there[0], (long)&byte, 1, 0, 0);
            byte += 3;
            call(CALL_WRITE, back[1], (long)&byte, 1, 0, 0);
        }
        call(CALL_EXIT, 0, 0, 0, 0, 0);
    }
    for (unsigned i = 0; i < n; i++) {
        call(CALL_WRITE, there[1], (long)&byte, 1, 0, 0);
        call(CALL_READ, back[0], (long)&byte, 1, 0, 0);
        sum += byte;
    }
    call(CALL_WAIT4, child, 0, 0, 0, 0);
    return sum;
}

static unsigned faults(unsigned n)
{
    unsigned sum = 0;
    for (unsigned round = 0; round < n; round++) {
        /* PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS */
        volatile unsigned *area = (unsigned *)call(CALL_MMAP, 0, AREA, 3, 0x22, -1);
        for (unsigned at = 0; at < AREA / sizeof *area; at += PAGE / sizeof *area)
            area[at] = at + round;
        for (unsigned at = 0; at < AREA / sizeof *area; at += PAGE / sizeof *area)
            sum += area[at] >> 10;
        call(CALL_MUNMAP, (long)area, AREA, 0, 0, 0);
    }
    return sum;
}

int program(int count, char **words)
{
    if (count != 3) return 2;
    print(words[1][0] == 's' ? switches(number(words[2])) : faults(number(words[2])));
    return 0;
}
