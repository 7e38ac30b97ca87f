/* What the command line asks for: only=a,b,... names kernels, repeat=N says how often each runs (default 3). */
#include "bench.h"

static const char *value_of(const char *command, const char *key)
{
    for (; *command; command++) {
        const char *at = command, *k = key;
        while (*k && *at == *k) at++, k++;
        if (!*k) return at;
    }
    return 0;
}

int left_out(const char *command, const char *name)
{
    const char *at = value_of(command, "only=");
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

u32 repetitions(const char *command)
{
    const char *at = value_of(command, "repeat=");
    u32 n = 0;
    while (at && *at >= '0' && *at <= '9') n = n * 10 + (u32)(*at++ - '0');
    return n ? n : 3;
}
