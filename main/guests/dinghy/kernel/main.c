// From the platform's entry code to the first process.
#include "platform.h"

char command_line[1024];
struct info_system machine;

bool command_option(const char *name, char *to, uptr size) {
    uptr n = strlen(name);
    for (const char *c = command_line; *c; c++) {
        if ((c != command_line && c[-1] != ' ') || strncmp(c, name, n) || c[n] != '=') continue;
        uptr i = 0;
        for (c += n + 1; *c && *c != ' ' && i + 1 < size; c++) to[i++] = *c;
        to[i] = 0;
        return true;
    }
    return false;
}

/// Called by the platform on the boot stack, with memory handed to pages_add() and interrupts off.
void kernel_main(void) {
    kernel_lock();
    platform_init();
    printk("Dinghy 1.0: %s, %u-bit%s%s\n", machine.mode, machine.bits, machine.hypervisor[0] ? ", " : "", machine.hypervisor);
    printk("cpu: %s, %u.%03u MHz\n", machine.cpu, machine.tsc_khz / 1000, machine.tsc_khz % 1000);
    printk("memory: %lu KiB, %lu KiB free\n", (unsigned long)(end_pfn * 4), (unsigned long)(free_pages * 4));
    if (command_line[0]) printk("command line: %s\n", command_line);
    process_init();
    platform_start_cpus();
    if (cpu_count > 1) printk("%u CPUs\n", cpu_count);
    platform_late();
    // The first process's frame lies where this function's own stack begins: enter_user moves below it.
    enter_user((struct trap_frame *)((uptr)current() + KSTACK_SIZE) - 1);
}

/// Runs just below the frame: from here on only return_from_trap follows.
void start_init(struct trap_frame *frame) {
    user_frame_init(frame);
    int error = process_exec(frame, "/bin/init", "init", 5, 1);
    if (error) panic("cannot start /bin/init: error %d", error);
}
