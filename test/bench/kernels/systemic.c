/* Kernels that exercise the system side: traps, page faults, address-space switches, string instructions, self-modifying code, ports. */
#include "bench.h"

static void forget(void *page) { asm volatile("invlpg (%0)" : : "r"(page) : "memory"); }

static NOINLINE u32 system_calls(u32 n)
{
    traps = 0;
    for (u32 i = 0; i < n; i++)
        asm volatile("int $0x80" : : : "memory");
    return traps;
}

static NOINLINE u32 page_faults(u32 n)
{
    u8 *base = WORK_AREA + 0x800000;
    u32 sum = 0;
    for (u32 round = 0; round < n; round++) {
        for (u32 i = 0; i < 128; i++) {
            page_table[((u32)base >> 12) + i] = 0; /* the handler maps it again */
            forget(base + i * 4096);
        }
        for (u32 i = 0; i < 128; i++)
            sum += *(volatile u32 *)(base + i * 4096) + i;
    }
    return sum;
}

static NOINLINE u32 address_spaces(u32 n)
{
    u32 sum = 0;
    for (u32 round = 0; round < n; round++) {
        u32 cr3;
        asm volatile("mov %%cr3, %0; mov %0, %%cr3" : "=r"(cr3) : : "memory");
        for (u32 i = 0; i < 24; i++)
            sum += *(volatile u32 *)(WORK_AREA + i * 4096) + i;
    }
    return sum;
}

static NOINLINE u32 rep_strings(u32 n)
{
    for (u32 round = 0; round < n; round++) {
        u8 *to = WORK_AREA + 0x200000, *from = WORK_AREA;
        u32 count = 32768;
        asm volatile("rep stosl" : "+D"(from), "+c"(count) : "a"(round * 77) : "memory");
        from = WORK_AREA;
        count = 32768;
        asm volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
    }
    return *(u32 *)(WORK_AREA + 0x200000 + 4000);
}

static NOINLINE u32 self_modifying(u32 n)
{
    u8 *code = WORK_AREA + 0x400000;
    u32 sum = 0;
    for (u32 i = 0; i < n; i++) {
        code[0] = 0xb8; /* mov eax, imm32; ret */
        *(u32 *)(code + 1) = i * 3;
        code[5] = 0xc3;
        sum += ((u32(*)(void))code)();
    }
    return sum;
}

static NOINLINE u32 ports(u32 n)
{
    for (u32 i = 0; i < n; i++)
        asm volatile("outb %b0, $0x80" : : "a"(i));
    return n;
}

/*
 * Code that runs for the first time: n instructions of ten kinds, one after the other, each at an address of its own. Every
 * repetition writes and runs another place, so that no simulator has seen it.
 */
static u8 *cold_code = WORK_AREA + 0x1000000;
static void cold_prepare(u32 n)
{
    static u32 times;
    cold_code = WORK_AREA + 0x1000000 + times++ * 0x500000;
    u8 *p = cold_code;
    u32 seed = 12345;
    for (u32 i = 0; i + 1 < n; i++) {
        seed = seed * 1664525 + 1013904223;
        u8 imm = (u8)(seed >> 24);
        switch ((seed >> 8) % 10) {
        case 0: *p++ = 0x05; *(u32 *)p = seed; p += 4; break;           /* add eax, imm32 */
        case 1: *p++ = 0x8d; *p++ = 0x48; *p++ = imm; break;            /* lea ecx, [eax+imm8] */
        case 2: *p++ = 0x31; *p++ = 0xc8; break;                        /* xor eax, ecx */
        case 3: *p++ = 0x42; break;                                     /* inc edx */
        case 4: *p++ = 0xc1; *p++ = 0xc0; *p++ = imm & 31; break;       /* rol eax, imm8 */
        case 5: *p++ = 0x01; *p++ = 0xc2; break;                        /* add edx, eax */
        case 6: *p++ = 0x0f; *p++ = 0xaf; *p++ = 0xd0; break;           /* imul edx, eax */
        case 7: *p++ = 0x83; *p++ = 0xe9; *p++ = imm; break;            /* sub ecx, imm8 */
        case 8: *p++ = 0x8b; *p++ = 0x0d; *(u8 **)p = WORK_AREA + imm * 4; p += 4; break; /* mov ecx, [...] */
        default: *p++ = 0xf7; *p++ = 0xd0; break;                       /* not eax */
        }
    }
    *p = 0xc3;
}
static NOINLINE u32 cold(u32 n)
{
    u32 a = n, d = 1;
    asm volatile("call *%2" : "+a"(a), "+d"(d) : "r"(cold_code) : "ecx", "memory");
    return a ^ d;
}

const struct kernel systemic[] = {
    { "syscall", system_calls, 800000 },   { "pagefault", page_faults, 4000 }, { "cr3", address_spaces, 100000 },
    { "rep", rep_strings, 2500 },          { "selfmod", self_modifying, 200000 }, { "port", ports, 1000000 },
    { "cold", cold, 1000000, cold_prepare },
};
const u32 systemic_count = sizeof systemic / sizeof systemic[0];
