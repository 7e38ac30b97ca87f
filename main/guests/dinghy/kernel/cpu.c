// The name of the CPU, from CPUID.
#include "platform.h"

void cpu_read_name(void) {
    u32 r[4];
    cpuid(0x80000000, 0, r);
    if (r[0] >= 0x80000004) {
        u32 *name = (u32 *)machine.cpu;
        for (u32 i = 0; i < 3; i++) cpuid(0x80000002 + i, 0, name + 4 * i);
    } else {
        cpuid(0, 0, r);
        memcpy(machine.cpu, &r[1], 4);
        memcpy(machine.cpu + 4, &r[3], 4);
        memcpy(machine.cpu + 8, &r[2], 4);
    }
    char *first = machine.cpu; // the name may be padded with blanks at its front
    while (*first == ' ') first++;
    memmove(machine.cpu, first, strlen(first) + 1);
}
