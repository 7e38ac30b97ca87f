/* The kernels that compute as a WebAssembly module: what the same C is worth with no machine around it. */
#include "bench.h"

u8 work_area[4 << 20] __attribute__((aligned(4096)));

__attribute__((export_name("name"))) const char *name(u32 k) { return k < computing_count ? computing[k].name : 0; }
__attribute__((export_name("run"))) u32 run(u32 k) { return computing[k].run(computing[k].n); }
