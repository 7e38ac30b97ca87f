/*
 * The kernels that compute as a program of this computer, with no library: native [WORDS]. Prints a line "name checksum microseconds" per
 * repetition, in CPU time of the process.
 */
#include "bench.h"
#include "../inside/linux-calls.h"

u8 work_area[4 << 20] __attribute__((aligned(4096)));

static char line[128];
static u32 used;
static void put(char c) { line[used++] = c; }
static void text(const char *s) { while (*s) put(*s++); }
static void decimal(u32 v)
{
    if (v >= 10) decimal(v / 10);
    put((char)('0' + v % 10));
}
static u32 microseconds(void)
{
    long t[2];
    call(CALL_CLOCK_GETTIME, 2 /* CLOCK_PROCESS_CPUTIME_ID */, (long)t, 0, 0, 0);
    return (u32)t[0] * 1000000 + (u32)t[1] / 1000;
}

int program(int count, char **words)
{
    const char *command = count > 1 ? words[1] : "";
    const u32 times = repetitions(command);
    for (u32 i = 0; i < computing_count; i++)
        for (u32 n = 0; n < times && !left_out(command, computing[i].name); n++) {
            const u32 begin = microseconds();
            const u32 sum = computing[i].run(computing[i].n);
            const u32 took = microseconds() - begin;
            used = 0;
            text(computing[i].name);
            put(' ');
            for (int shift = 28; shift >= 0; shift -= 4)
                put("0123456789abcdef"[sum >> shift & 15]);
            put(' ');
            decimal(took);
            put('\n');
            call(CALL_WRITE, 1, (long)line, (long)used, 0, 0);
        }
    return 0;
}
