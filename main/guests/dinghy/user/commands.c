// The commands that look at the system and at files, and the table of all commands.
#include "user.h"

static int command_help(int count, char **arguments) {
    (void)count, (void)arguments;
    for (u32 i = 0; i < command_count; i++)
        if (commands[i].help) print("  %-9s %s\n", commands[i].name, commands[i].help);
    print("  %-9s %s\n", "history", "the lines typed before");
    print("Join commands with |, separate them with ; and run in the background with &. Control-C ends a command.\n");
    return 0;
}

static int command_echo(int count, char **arguments) {
    for (int i = 1; i < count; i++) print(i > 1 ? " %s" : "%s", arguments[i]);
    print("\n");
    return 0;
}

static int command_ps(int count, char **arguments) {
    (void)count, (void)arguments;
    static const char *const states[] = {"free", "ready", "running", "sleeping", "ended"};
    uptr size = 256 * sizeof(struct info_process);
    struct info_process *list = map(size);
    if (!list) {
        complain("ps: out of memory");
        return 1;
    }
    int n = info(INFO_PROCESSES, list, size) / (int)sizeof *list;
    print("  PID PARENT STATE     MEMORY-KIB    CPU-MS NAME\n");
    for (int i = n; i--;)
        print("%5d %6d %-9s %10u %9llu %s\n", list[i].pid, list[i].parent, states[list[i].state], list[i].pages * 4, list[i].cpu_ns / 1000000, list[i].name);
    return 0;
}

static int command_mem(int count, char **arguments) {
    (void)count, (void)arguments;
    struct info_memory m;
    info(INFO_MEMORY, &m, sizeof m);
    print("total %llu KiB\nfree %llu KiB\nkernel %llu KiB\npage-tables %llu KiB\nprocesses %llu KiB\nballoon %llu KiB\n", m.total / 1024, m.free / 1024, m.kernel / 1024, m.tables / 1024, m.user / 1024, m.ballooned / 1024);
    return 0;
}

static int command_cpu(int count, char **arguments) {
    (void)count, (void)arguments;
    struct info_system s;
    struct info_counters c;
    info(INFO_SYSTEM, &s, sizeof s);
    info(INFO_COUNTERS, &c, sizeof c);
    print("machine %s, %u-bit\nhypervisor %s\ncpu %s\nclock %u.%03u MHz\nvcpus %u\n", s.mode, s.bits, s.hypervisor[0] ? s.hypervisor : "none", s.cpu, s.tsc_khz / 1000, s.tsc_khz % 1000, s.vcpus);
    print("switches %llu, system calls %llu, page faults %llu (%llu copies), interrupts %llu, hypercalls %llu, forks %llu, execs %llu\n", c.switches, c.syscalls, c.faults, c.cow_copies, c.interrupts, c.hypercalls, c.forks, c.execs);
    return 0;
}

static int command_uptime(int count, char **arguments) {
    (void)count, (void)arguments;
    u64 ms = clock_ns() / 1000000;
    print("up %llu.%03u s\n", ms / 1000, (u32)(ms % 1000));
    return 0;
}

static int command_date(int count, char **arguments) {
    (void)count, (void)arguments;
    u64 seconds = clock_wall_ns() / 1000000000ULL;
    u32 day = (u32)(seconds / 86400), rest = (u32)(seconds % 86400);
    // Civil date from days since 1970-01-01, in 400-year eras that begin in March.
    u32 z = day + 719468, era = z / 146097, of_era = z % 146097;
    u32 year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    u32 of_year = of_era - (365 * year + year / 4 - year / 100), m = (5 * of_year + 2) / 153;
    u32 month = m < 10 ? m + 3 : m - 9;
    year += era * 400 + (month <= 2);
    print("%04u-%02u-%02u %02u:%02u:%02u UTC\n", year, month, of_year - (153 * m + 2) / 5 + 1, rest / 3600, rest / 60 % 60, rest % 60);
    return 0;
}

static int command_dmesg(int count, char **arguments) {
    (void)count, (void)arguments;
    char *log = map(8192);
    if (!log) return 1;
    int n = info(INFO_LOG, log, 8192);
    flush();
    return write(1, log, (uptr)n) < 0;
}

static int command_ls(int count, char **arguments) {
    const char *where = count > 1 ? arguments[1] : "/";
    char name[64];
    u64 size;
    bool any = false;
    for (u32 n = 0; (int)system_call(SYS_list, n, (uptr)name, sizeof name, (uptr)&size) > 0; n++) {
        if (strncmp(name, where, strlen(where))) continue;
        any = true;
        print("%8llu %s\n", size, name);
    }
    if (!any) complain("ls: %s: not found", where);
    return !any;
}

static int command_cat(int count, char **arguments) {
    static u8 block[1024];
    for (int i = count > 1 ? 1 : 0; i < count; i++) {
        int file = i ? open(arguments[i]) : 0;
        if (file < 0) {
            complain("cat: %s: %s", arguments[i], error_text(file));
            return 1;
        }
        for (int n; (n = read(file, block, sizeof block)) > 0;) {
            if (!i && n == 1 && block[0] == 4) break; // Control-D typed
            if (write(1, block, (uptr)n) < 0) return 1;
        }
        if (i) close(file);
    }
    return 0;
}

/// CRC-32 as in ISO 3309 (the polynomial of gzip and cksum -a crc32b).
static u32 crc32(u32 crc, const u8 *data, uptr bytes) {
    crc = ~crc;
    while (bytes--) {
        crc ^= *data++;
        for (u32 bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

static int command_sum(int count, char **arguments) {
    static u8 block[4096];
    int failed = 0;
    for (int i = count > 1 ? 1 : 0; i < count; i++) {
        int file = i ? open(arguments[i]) : 0;
        if (file < 0) {
            complain("sum: %s: %s", arguments[i], error_text(file));
            failed = 1;
            continue;
        }
        u32 crc = 0;
        u64 bytes = 0;
        for (int n; (n = read(file, block, sizeof block)) > 0; bytes += (u64)n) crc = crc32(crc, block, (uptr)n);
        if (i) close(file);
        print("%08x %llu %s\n", crc, bytes, i ? arguments[i] : "-");
    }
    return failed;
}

static int command_count_lines(int count, char **arguments) {
    (void)count, (void)arguments;
    static u8 block[1024];
    u64 lines = 0, bytes = 0;
    for (int n; (n = read(0, block, sizeof block)) > 0; bytes += (u64)n)
        for (int i = 0; i < n; i++) lines += block[i] == '\n';
    print("%llu lines, %llu bytes\n", lines, bytes);
    return 0;
}

static int command_sleep(int count, char **arguments) {
    const char *end;
    u64 ns = count > 1 ? number(arguments[1], &end) * 1000000000ULL : 0;
    if (count > 1 && *end == '.') {
        u64 unit = 100000000;
        for (end++; *end >= '0' && *end <= '9'; end++, unit /= 10) ns += (u64)(*end - '0') * unit;
    }
    return sleep_until(clock_ns() + ns) < 0;
}

static int command_kill(int count, char **arguments) {
    bool chosen = count > 2 && arguments[1][0] == '-';
    if (count < 2 + chosen) {
        complain("usage: kill [-SIGNAL] PID");
        return 2;
    }
    const char *pid = arguments[1 + chosen];
    int error = kill((int)number(pid, NULL), chosen ? (int)number(arguments[1] + 1, NULL) : SIGTERM);
    if (error < 0) complain("kill: %s: %s", pid, error_text(error));
    return error < 0;
}

static int command_true(int count, char **arguments) {
    (void)count, (void)arguments;
    return 0;
}

static int command_clear(int count, char **arguments) {
    (void)count, (void)arguments;
    print("\033[H\033[2J");
    return 0;
}

static int store_operation(int operation, const char *path, char *value, uptr size) {
    int result = (int)system_call(SYS_xenstore, (uptr)operation, (uptr)path, (uptr)value, size);
    if (result == -ENOSYS) complain("xenstore: this machine has no xenstore");
    else if (result < 0) complain("xenstore: %s: %s", path, error_text(result));
    return result;
}

// Prints the tree below path, deeper levels indented.
static int store_tree(const char *path, u32 depth) {
    char *names = map(PAGE_SIZE);
    if (!names) return 1;
    int bytes = store_operation(XS_OP_LIST, path, names, PAGE_SIZE - 512);
    for (int at = 0; at < bytes; at += (int)strlen(names + at) + 1) {
        char child[256], value[256];
        format(child, sizeof child, path[strlen(path) - 1] == '/' ? "%s%s" : "%s/%s", path, names + at);
        for (u32 i = 0; i < depth; i++) print("  ");
        int n = (int)system_call(SYS_xenstore, XS_OP_READ, (uptr)child, (uptr)value, sizeof value - 1);
        value[MAX(n, 0)] = 0;
        print(n > 0 ? "%s = \"%s\"\n" : "%s\n", names + at, value);
        char probe[2];
        if (depth < 8 && (int)system_call(SYS_xenstore, XS_OP_LIST, (uptr)child, (uptr)probe, 1) > 0) store_tree(child, depth + 1);
    }
    unmap(names, PAGE_SIZE);
    return bytes < 0;
}

static int command_xenstore(int count, char **arguments) {
    const char *verb = count > 1 ? arguments[1] : "";
    if (strcmp(verb, "ls") == 0) {
        char home[64] = "";
        if (count > 2) return store_tree(arguments[2], 0);
        // The domain's own folder, by its number.
        char id[16];
        int n = store_operation(XS_OP_READ, "domid", id, sizeof id - 1);
        if (n < 0) return 1;
        id[n] = 0;
        format(home, sizeof home, "/local/domain/%s", id);
        return store_tree(home, 0);
    }
    if (strcmp(verb, "read") == 0 && count == 3) {
        char value[1024];
        int n = store_operation(XS_OP_READ, arguments[2], value, sizeof value - 1);
        if (n < 0) return 1;
        value[n] = 0;
        print("%s\n", value);
        return 0;
    }
    if (strcmp(verb, "write") == 0 && count == 4) return store_operation(XS_OP_WRITE, arguments[2], arguments[3], strlen(arguments[3])) < 0;
    if (strcmp(verb, "rm") == 0 && count == 3) return store_operation(XS_OP_REMOVE, arguments[2], NULL, 0) < 0;
    complain("usage: xenstore ls [PATH] | read PATH | write PATH VALUE | rm PATH");
    return 2;
}

static int command_shutdown(int count, char **arguments) {
    (void)count, (void)arguments;
    print("shutting down\n");
    flush();
    return power(POWER_OFF);
}

static int command_reboot(int count, char **arguments) {
    (void)count, (void)arguments;
    print("rebooting\n");
    flush();
    return power(POWER_REBOOT);
}

int command_sh(int count, char **arguments);
int command_init(int count, char **arguments);
int command_burn(int count, char **arguments);
int command_forks(int count, char **arguments);
int command_switch(int count, char **arguments);
int command_faults(int count, char **arguments);
int command_calls(int count, char **arguments);
int command_dirty(int count, char **arguments);
int command_game(int count, char **arguments);
int command_db(int count, char **arguments);
int command_net(int count, char **arguments);
int command_ping(int count, char **arguments);
int command_httpd(int count, char **arguments);
int command_wget(int count, char **arguments);
int command_web(int count, char **arguments);
int command_signals(int count, char **arguments);
int command_echod(int count, char **arguments);
int command_udp(int count, char **arguments);
int command_hog(int count, char **arguments);

const struct command commands[] = {
    {"help", command_help, "this list"},
    {"ps", command_ps, "processes"},
    {"mem", command_mem, "memory"},
    {"cpu", command_cpu, "the machine, and what the kernel has counted"},
    {"uptime", command_uptime, "time since boot"},
    {"date", command_date, "calendar time"},
    {"dmesg", command_dmesg, "the kernel's log"},
    {"echo", command_echo, "WORDS: print them"},
    {"ls", command_ls, "[PATH]: files"},
    {"cat", command_cat, "[FILES]: print files or standard input"},
    {"sum", command_sum, "[FILES]: CRC-32 and size"},
    {"count", command_count_lines, "lines and bytes of standard input"},
    {"sleep", command_sleep, "SECONDS: wait"},
    {"kill", command_kill, "[-SIGNAL] PID: send a signal, by its number; without one, end it"},
    {"xenstore", command_xenstore, "ls [PATH] | read PATH | write PATH VALUE | rm PATH"},
    {"clear", command_clear, "empty the screen"},
    {"burn", command_burn, "[MS]: integer arithmetic"},
    {"calls", command_calls, "[N]: system calls"},
    {"forks", command_forks, "[N]: fork, exec and wait"},
    {"switch", command_switch, "[N]: context switches between two processes"},
    {"faults", command_faults, "[PAGES]: page faults"},
    {"signals", command_signals, "[N]: signals handled, caught, ignored and deadly"},
    {"dirty", command_dirty, "[PAGES/S] [MIB] [MS]: write pages at a rate"},
    {"game", command_game, "[MS]: 60 ticks a second over a small working set"},
    {"db", command_db, "DISK [N] [KIB]: random reads and writes with checksums; overwrites the disk's contents"},
    {"net", command_net, "the network interface"},
    {"ping", command_ping, "ADDRESS [N]: echo requests, one a second"},
    {"httpd", command_httpd, "[PORT]: serves files until it is ended"},
    {"wget", command_wget, "ADDRESS[:PORT]/PATH: fetches a file and prints it"},
    {"web", command_web, "ADDRESS[:PORT] [N] [PATH]: load for a server, N fetches"},
    {"echod", command_echod, "[PORT]: sends every UDP datagram back until it is ended"},
    {"udp", command_udp, "ADDRESS:PORT [N] [BYTES]: N datagrams to an echo server"},
    {"hog", command_hog, "[MIB]: take memory until it runs out"},
    {"reboot", command_reboot, "restart the machine"},
    {"shutdown", command_shutdown, "switch the machine off"},
    {"sh", command_sh, NULL},
    {"init", command_init, NULL},
    {"true", command_true, NULL},
};
const u32 command_count = COUNT(commands);
