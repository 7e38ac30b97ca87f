/* Kernels that only compute. Each leaves a checksum that depends on every step. */
#include "bench.h"

static NOINLINE u32 integer_loop(u32 n)
{
    u32 a = 0x9e3779b9, b = 1, c = 0;
    for (u32 i = 0; i < n; i++) {
        a += (b << 7) ^ i;
        b = (b >> 3) + (a | 0x101);
        if ((a & 0x30) == 0x10)
            c += a - b;
        c ^= (a >> 11) | (a << 21);
    }
    return a ^ b ^ c;
}

static u32 crc_table[256];
static NOINLINE u32 crc32(u32 n)
{
    u8 *data = WORK_AREA;
    for (u32 i = 0; i < 256; i++) {
        u32 c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? (c >> 1) ^ 0xedb88320 : c >> 1;
        crc_table[i] = c;
    }
    for (u32 i = 0; i < 32768; i++)
        data[i] = (u8)(i * 13 + (i >> 7));
    u32 crc = 0xffffffff;
    for (u32 round = 0; round < n; round++)
        for (u32 i = 0; i < 32768; i++)
            crc = (crc >> 8) ^ crc_table[(crc ^ data[i]) & 0xff];
    return ~crc;
}

static NOINLINE u32 copy_words(u32 n)
{
    u32 *from = (u32 *)WORK_AREA, *to = (u32 *)(WORK_AREA + 0x140000);
    for (u32 i = 0; i < 65536; i++)
        from[i] = i * 2654435761u;
    for (u32 round = 0; round < n; round++)
        for (u32 i = 0; i < 65536; i++)
            to[i] = from[i] + round;
    return to[1] ^ to[40000] ^ to[65535];
}

static NOINLINE u32 pointer_chase(u32 n)
{
    /* one cycle through 64 Ki nodes of 16 bytes, in a scrambled order */
    u32 *node = (u32 *)WORK_AREA, at = 0, sum = 0;
    for (u32 i = 0, x = 7; i < 65536; i++) {
        u32 next = (x * 1103515245u + 12345u) & 65535;
        node[x * 4] = next;
        x = next;
    }
    for (u32 i = 0; i < n; i++) {
        at = node[at * 4];
        sum += at ^ i;
    }
    return sum;
}

static NOINLINE u32 sieve(u32 n)
{
    u8 *composite = WORK_AREA;
    u32 primes = 0;
    for (u32 round = 0; round < n; round++) {
        primes = 0;
        for (u32 i = 0; i < 500000; i++)
            composite[i] = 0;
        for (u32 i = 2; i < 500000; i++) {
            if (composite[i])
                continue;
            primes++;
            for (u32 k = i * 2; k < 500000; k += i)
                composite[k] = 1;
        }
    }
    return primes;
}

static NOINLINE void quicksort(u32 *v, int low, int high)
{
    while (low < high) {
        u32 pivot = v[low + (high - low) / 2];
        int i = low, k = high;
        for (;;) {
            while (v[i] < pivot) i++;
            while (v[k] > pivot) k--;
            if (i > k) break;
            u32 t = v[i];
            v[i++] = v[k];
            v[k--] = t;
            if (i > k) break;
        }
        if (k - low < high - i) {
            quicksort(v, low, k);
            low = i;
        } else {
            quicksort(v, i, high);
            high = k;
        }
    }
}
static NOINLINE u32 sort(u32 n)
{
    u32 *v = (u32 *)WORK_AREA, x = 99, sum = 0;
    for (u32 round = 0; round < n; round++) {
        for (u32 i = 0; i < 60000; i++) {
            x = x * 1664525u + 1013904223u;
            v[i] = x >> 3;
        }
        quicksort(v, 0, 59999);
        for (u32 i = 0; i < 60000; i += 611)
            sum = sum * 31 + v[i];
    }
    return sum;
}

/* SHA-256 (FIPS 180-4); the round constants are the fractions of the cube roots of the first primes, computed once */
static u32 round_constant[64];
static void make_constants(void)
{
    u32 found = 0;
    for (u32 p = 2; found < 64; p++) {
        int prime = 1;
        for (u32 d = 2; d * d <= p; d++)
            if (p % d == 0) prime = 0;
        if (!prime) continue;
        /* cube root of p with 32 fractional bits: bit by bit in 64-bit integers of p * 2^k would overflow, so work on 40 bits */
        u64 root = 0;
        for (int bit = 34; bit >= 0; bit--) {
            u64 t = root | (1ull << bit);
            /* t^3 <= p << 96, compared in pieces of 32 bits */
            u64 hi = t >> 16, sq = hi * hi;         /* t^2 >> 32 */
            u64 cube = (sq >> 8) * (hi >> 0) >> 8;  /* t^3 >> 64 */
            if (cube <= (u64)p << 32) root = t;
        }
        round_constant[found++] = (u32)root;
    }
}
static u32 turn(u32 x, int k) { return (x >> k) | (x << (32 - k)); }
static NOINLINE void compress(u32 state[8], const u8 *block)
{
    u32 w[64], s[8];
    for (int t = 0; t < 16; t++)
        w[t] = (u32)block[t * 4] << 24 | (u32)block[t * 4 + 1] << 16 | (u32)block[t * 4 + 2] << 8 | block[t * 4 + 3];
    for (int t = 16; t < 64; t++)
        w[t] = w[t - 16] + w[t - 7] + (turn(w[t - 15], 7) ^ turn(w[t - 15], 18) ^ w[t - 15] >> 3) +
               (turn(w[t - 2], 17) ^ turn(w[t - 2], 19) ^ w[t - 2] >> 10);
    for (int i = 0; i < 8; i++)
        s[i] = state[i];
    for (int t = 0; t < 64; t++) {
        u32 one = s[7] + (turn(s[4], 6) ^ turn(s[4], 11) ^ turn(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) +
                  round_constant[t] + w[t];
        u32 two = (turn(s[0], 2) ^ turn(s[0], 13) ^ turn(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        for (int i = 7; i > 0; i--)
            s[i] = s[i - 1];
        s[4] += one;
        s[0] = one + two;
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}
static NOINLINE u32 sha256(u32 n)
{
    u32 state[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    u8 *data = WORK_AREA;
    make_constants();
    for (u32 i = 0; i < 8192; i++)
        data[i] = (u8)(i * 29 + 3);
    for (u32 i = 0; i < n; i++)
        compress(state, data + (i & 127) * 64);
    return state[0] ^ state[3] ^ state[7];
}

/* a small stack machine that sums the divisors of a range */
enum { PUSH, LOAD, STORE, ADD, SUB, MUL, MOD, JUMP, JUMP_IF_ZERO, LESS, HALT };
static NOINLINE u32 bytecode(u32 n)
{
    static const u8 code[] = {
        PUSH, 1, STORE, 1,                          /*  0 */
        LOAD, 1, LOAD, 0, LESS, JUMP_IF_ZERO, 33,   /*  4 */
        LOAD, 0, LOAD, 1, MOD, JUMP_IF_ZERO, 20,    /* 11 */
        JUMP, 25,                                   /* 18 */
        LOAD, 2, LOAD, 1, ADD,                      /* 20 */
        STORE, 2,                                   /* 25: reached with one value more or less on the stack */
        LOAD, 1, PUSH, 1, ADD,                      /* 27 */
        HALT,                                       /* 32 */
        HALT,                                       /* 33 */
    };
    u32 v[4] = { n, 0, 0, 0 }, stack[64] = { 0 }, sp = 8, pc = 0, sum = 0;
    for (u32 steps = 0; steps < n; steps++) {
        u32 a, b;
        switch (code[pc++]) {
        case PUSH: stack[sp++ & 63] = code[pc++]; break;
        case LOAD: stack[sp++ & 63] = v[code[pc++]]; break;
        case STORE: v[code[pc++]] = stack[--sp & 63]; break;
        case ADD: b = stack[--sp & 63]; a = stack[--sp & 63]; stack[sp++ & 63] = a + b; break;
        case SUB: b = stack[--sp & 63]; a = stack[--sp & 63]; stack[sp++ & 63] = a - b; break;
        case MUL: b = stack[--sp & 63]; a = stack[--sp & 63]; stack[sp++ & 63] = a * b; break;
        case MOD: b = stack[--sp & 63]; a = stack[--sp & 63]; stack[sp++ & 63] = b ? a % b : 0; break;
        case LESS: b = stack[--sp & 63]; a = stack[--sp & 63]; stack[sp++ & 63] = a < b; break;
        case JUMP: pc = code[pc]; break;
        case JUMP_IF_ZERO: pc = stack[--sp & 63] ? pc + 1 : code[pc]; break;
        default: sum = sum * 33 + v[2]; v[1] = stack[--sp & 63]; pc = 4; if (v[1] >= v[0]) pc = 0; break;
        }
        sum += sp;
    }
    return sum;
}

static NOINLINE u32 fibonacci(u32 n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }
static NOINLINE u32 recursion(u32 n) { return fibonacci(n); }

static NOINLINE u32 add_three(u32 x) { return x + 3; }
static NOINLINE u32 flip(u32 x) { return x ^ 0x5aa5; }
static NOINLINE u32 times_nine(u32 x) { return x * 9; }
static NOINLINE u32 spin(u32 x) { return x << 5 | x >> 27; }
static u32 (*volatile target[4])(u32) = { add_three, flip, times_nine, spin };
static NOINLINE u32 indirect_calls(u32 n)
{
    u32 x = 17;
    for (u32 i = 0; i < n; i++)
        x = target[(x >> 4 ^ i) & 3](x);
    return x;
}

static NOINLINE u32 wide_arithmetic(u32 n)
{
    u64 x = 0x0123456789abcdefull, y = 42;
    for (u32 i = 0; i < n; i++) {
        x = x * 0x5851f42d4c957f2dull + 0x14057b7ef767814full;
        y += x >> 33;
        y = (y << 9) - (x ^ y >> 17);
    }
    return (u32)(y >> 32) ^ (u32)y;
}

static NOINLINE u32 floating_point(u32 n)
{
    double *a = (double *)WORK_AREA, *b = a + 1024, *c = b + 1024;
    for (int i = 0; i < 1024; i++) {
        a[i] = (i % 37) * 0.25;
        b[i] = 1.0 / (i + 3);
        c[i] = 0;
    }
    for (u32 round = 0; round < n; round++)
        for (int i = 0; i < 32; i++)
            for (int k = 0; k < 32; k++) {
                double sum = 0;
                for (int m = 0; m < 32; m++)
                    sum += a[i * 32 + m] * b[m * 32 + k];
                c[i * 32 + k] = c[i * 32 + k] * 0.5 + sum;
            }
    double total = 0;
    for (int i = 0; i < 1024; i++)
        total += c[i];
    return (u32)(int)(total * 16);
}

static NOINLINE u32 length(const u8 *s)
{
    const u8 *p = s;
    while (*p) p++;
    return (u32)(p - s);
}
static NOINLINE int compare(const u8 *a, const u8 *b)
{
    while (*a && *a == *b) a++, b++;
    return *a - *b;
}
static NOINLINE u32 string_operations(u32 n)
{
    u8 *text = WORK_AREA;
    for (u32 i = 0; i < 64; i++) {
        for (u32 k = 0; k < 24; k++)
            text[i * 32 + k] = (u8)('a' + (i * k) % 5);
        text[i * 32 + 6 + i % 17] = 0;
    }
    u32 sum = 0;
    for (u32 i = 0; i < n; i++) {
        sum += length(text + (i & 63) * 32);
        sum += compare(text + (i & 63) * 32, text + (i * 5 & 63) * 32) & 0xff;
    }
    return sum;
}

const struct kernel computing[] = {
    { "integer", integer_loop, 18000000 }, { "crc32", crc32, 600 },
    { "copy", copy_words, 720 },           { "chase", pointer_chase, 12000000 },
    { "sieve", sieve, 30 },                { "quicksort", sort, 20 },
    { "sha256", sha256, 72000 },           { "bytecode", bytecode, 18000000 },
    { "recursion", recursion, 33 },        { "indirect", indirect_calls, 15000000 },
    { "u64", wide_arithmetic, 12000000 },  { "float", floating_point, 180 },
    { "strings", string_operations, 2700000 },
};
const u32 computing_count = sizeof computing / sizeof computing[0];
