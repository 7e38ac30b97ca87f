// Fixed-width types, the memory map and the small macros that every file of the kernel uses.
#pragma once

typedef unsigned char u8;
typedef signed char s8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef short s16;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;
typedef unsigned long uptr; // as wide as a pointer
typedef u64 pte_t;          // PAE and long mode have the same entry format

#define NULL ((void *)0)
#define bool _Bool
#define true 1
#define false 0

#define PAGE_SIZE 4096UL
#define PAGE_SHIFT 12
#define KIB 1024UL
#define MIB (1024UL * 1024UL)

// Every page of memory is mapped once at KERNEL_BASE + its (pseudo-)physical address. What lies elsewhere
// (device registers, pages that the hypervisor lends) is mapped in the fixmap.
#ifdef __x86_64__
#define KERNEL_BASE 0xffffffff80000000UL
#define LINEAR_MAX 0x40000000UL // 1 GiB
#define FIXMAP_BASE 0xffffffffc0000000UL
#define LEVELS 4
#define BITS 64
#else
#define KERNEL_BASE 0xc0000000UL
#define LINEAR_MAX 0x30000000UL // 768 MiB
#define FIXMAP_BASE 0xf0000000UL
#define LEVELS 3
#define BITS 32
#endif
#define USER_BASE 0x00400000UL
#define USER_STACK_TOP 0x00600000UL // image, bss and stack share one page table
#define USER_STACK_BYTES (128 * KIB)
#define USER_MAP_BASE 0x10000000UL
#define USER_END 0x70000000UL

#define VIRT(pa) ((void *)((uptr)(pa) + KERNEL_BASE))
#define PHYS(va) ((uptr)(va) - KERNEL_BASE)
#define PFN_OF(va) (PHYS(va) >> PAGE_SHIFT)
#define PAGE_OF(pfn) VIRT((uptr)(pfn) << PAGE_SHIFT)

#define ROUND_UP(n, to) (((n) + (to) - 1) & ~((uptr)(to) - 1))
#define ROUND_DOWN(n, to) ((n) & ~((uptr)(to) - 1))
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define PTE_P 0x001
#define PTE_W 0x002
#define PTE_U 0x004
#define PTE_PCD 0x010
#define PTE_A 0x020
#define PTE_D 0x040
#define PTE_PS 0x080
#define PTE_COW 0x400 // ours (bit 10 is free for software): shared until the first write
#define PTE_FRAME 0x000ffffffffff000ULL

#define barrier() __asm__ volatile("" ::: "memory")
#define mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define noreturn __attribute__((noreturn))
#define aligned_page __attribute__((aligned(4096)))

void *memcpy(void *to, const void *from, uptr bytes);
void *memmove(void *to, const void *from, uptr bytes);
void *memset(void *to, int value, uptr bytes);
int memcmp(const void *a, const void *b, uptr bytes);
uptr strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, uptr n);
/// Copies at most size-1 bytes and always ends the copy with a zero.
void strcopy(char *to, const char *from, uptr size);
const char *strchr(const char *s, int c);
const char *strstr(const char *s, const char *what);
/// Formats %s %c %d %u %x %p with l/ll, width and 0 or - flags. Returns the length, never writes past size.
int format(char *out, uptr size, const char *form, ...);
int vformat(char *out, uptr size, const char *form, __builtin_va_list arguments);
/// Reads a decimal or 0x number; sets *end behind it when end is given.
u64 number(const char *s, const char **end);
