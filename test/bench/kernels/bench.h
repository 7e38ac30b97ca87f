/* What the kernels share: fixed-width types, the work area, the list of kernels, what the command line asks for. */
#ifndef BENCH_H
#define BENCH_H
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#ifdef HOSTED
extern u8 work_area[];
#define WORK_AREA work_area
#else
#define WORK_AREA ((u8 *)0x1000000) /* 16 MiB: 64 MiB from there are the kernels' own */
#endif
#define NOINLINE __attribute__((noinline))

struct kernel {
    const char *name;
    u32 (*run)(u32 n); /* returns a checksum */
    u32 n;
    void (*prepare)(u32 n); /* not measured; may be absent */
};
extern const struct kernel computing[], systemic[];
extern const u32 computing_count, systemic_count;
extern volatile u32 traps;
extern u32 page_table[];

/* options.c: a command line of words such as only=crc32,copy and repeat=3 */
int left_out(const char *command, const char *name);
u32 repetitions(const char *command);
#endif
