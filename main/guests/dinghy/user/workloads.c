// Workloads that compare machines. Each prints one line: `result NAME machine=MODE-BITS vcpus=N key=value ...`, in guest time.
#include "user.h"

#define MS 1000000ULL

static u32 mix(u32 x) { // xorshift32
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return x;
}

int command_burn(int count, char **arguments) {
    u64 wanted = argument(count, arguments, 1, 1000) * MS, start = clock_ns(), now;
    u64 rounds = 0;
    u32 x = 2463534242;
    do {
        for (u32 i = 0; i < 20000; i++) x = mix(x);
        rounds += 20000;
        now = clock_ns();
    } while (now - start < wanted);
    result_begin("burn");
    print(" rounds=%llu ns=%llu per_second=%llu check=%08x\n", rounds, now - start, per_second(rounds, now - start), x);
    return 0;
}

int command_calls(int count, char **arguments) {
    u64 n = argument(count, arguments, 1, 20000), start = clock_ns();
    for (u64 i = 0; i < n; i++) getpid();
    u64 ns = clock_ns() - start;
    result_begin("calls");
    print(" n=%llu ns=%llu per_second=%llu ns_each=%llu\n", n, ns, per_second(n, ns), n ? ns / n : 0);
    return 0;
}

int command_forks(int count, char **arguments) {
    u64 n = argument(count, arguments, 1, 200), start = clock_ns(), done = 0;
    for (; done < n; done++) {
        int pid = fork();
        if (pid == 0) {
            char *words[] = {"true", NULL};
            exec("/bin/true", words);
            exit(126);
        }
        int status = 0;
        if (pid < 0 || wait(&status) != pid || status) {
            complain("forks: process %llu failed: %s", done + 1, pid < 0 ? error_text(pid) : "wrong status");
            return 1;
        }
    }
    u64 ns = clock_ns() - start;
    result_begin("forks");
    print(" n=%llu ns=%llu per_second=%llu ns_each=%llu\n", n, ns, per_second(n, ns), n ? ns / n : 0);
    return 0;
}

int command_switch(int count, char **arguments) {
    u64 n = argument(count, arguments, 1, 5000);
    int there[2], back[2];
    if (pipe(there) < 0 || pipe(back) < 0) {
        complain("switch: out of memory");
        return 1;
    }
    int child = fork();
    char token = 'x';
    if (child == 0) {
        close(there[1]);
        close(back[0]);
        while (read(there[0], &token, 1) == 1) write(back[1], &token, 1);
        exit(0);
    }
    if (child < 0) {
        complain("switch: %s", error_text(child));
        return 1;
    }
    close(there[0]);
    close(back[1]);
    u64 start = clock_ns();
    for (u64 i = 0; i < n; i++)
        if (write(there[1], &token, 1) != 1 || read(back[0], &token, 1) != 1) {
            complain("switch: the other process is gone");
            return 1;
        }
    u64 ns = clock_ns() - start;
    close(there[1]);
    wait(NULL);
    result_begin("switch");
    print(" round_trips=%llu ns=%llu switches_per_second=%llu ns_each=%llu\n", n, ns, per_second(2 * n, ns), n ? ns / (2 * n) : 0);
    return 0;
}

int command_faults(int count, char **arguments) {
    u64 n = argument(count, arguments, 1, 1024), left = n, ns = 0;
    while (left) { // in pieces, so that any number fits in any memory
        u64 piece = MIN(left, 256);
        volatile u8 *memory = map(piece * PAGE_SIZE);
        if (!memory) {
            complain("faults: out of memory");
            return 1;
        }
        u64 start = clock_ns();
        for (u64 i = 0; i < piece; i++) memory[i * PAGE_SIZE] = 1;
        ns += clock_ns() - start;
        unmap((void *)memory, piece * PAGE_SIZE);
        left -= piece;
    }
    result_begin("faults");
    print(" n=%llu ns=%llu per_second=%llu ns_each=%llu\n", n, ns, per_second(n, ns), n ? ns / n : 0);
    return 0;
}

// Writes `rate` pages a second, round and round over the working set, in steps of 5 ms.
int command_dirty(int count, char **arguments) {
    u64 rate = argument(count, arguments, 1, 2000), mib = argument(count, arguments, 2, 4), wanted = argument(count, arguments, 3, 5000) * MS;
    u64 set = mib * 256, written = 0, late = 0;
    u64 *memory = set ? map(set * PAGE_SIZE) : NULL;
    if (!memory) {
        complain("dirty: a working set of %llu MiB does not fit", mib);
        return 1;
    }
    for (u64 i = 0; i < set; i++) memory[i * 512] = i;
    u64 start = clock_ns(), now = start;
    for (u64 step = 1; now - start < wanted; step++) {
        u64 due = rate * (step * 5) / 1000;
        for (; written < due; written++) memory[(written % set) * 512] += written;
        u64 next = start + step * 5 * MS;
        now = clock_ns();
        if (now > next + MS) late++;
        else if (sleep_until(next) < 0) break;
        now = clock_ns();
    }
    u64 check = 0;
    for (u64 i = 0; i < set; i++) check = check * 31 + memory[i * 512];
    result_begin("dirty");
    print(" pages=%llu set_pages=%llu ns=%llu per_second=%llu late_steps=%llu check=%llx\n", written, set, now - start, per_second(written, now - start), late, check);
    return 0;
}

// A game server's shape: at each tick it updates a small world; what counts is how late a tick comes.
int command_game(int count, char **arguments) {
    enum { WORLD = 64 * 1024 };
    u64 wanted = argument(count, arguments, 1, 5000) * MS, period = 1000000000ULL / 60;
    u32 *world = map(WORLD * sizeof *world);
    if (!world) {
        complain("game: out of memory");
        return 1;
    }
    u64 ticks = 0, worst = 0, total = 0, start = clock_ns();
    u32 x = 88172645;
    for (; ticks * period < wanted; ticks++) {
        u64 due = start + (ticks + 1) * period;
        if (sleep_until(due) < 0) break;
        u64 late = clock_ns() - due;
        total += late;
        worst = MAX(worst, late);
        for (u32 i = 0; i < 2000; i++) {
            x = mix(x);
            world[x % WORLD] += x;
        }
    }
    u64 ns = clock_ns() - start;
    result_begin("game");
    print(" ticks=%llu ns=%llu late_mean_ns=%llu late_max_ns=%llu check=%08x\n", ticks, ns, ticks ? total / ticks : 0, worst, x);
    return 0;
}

// A block of the database: contents follow from its number and version, and the checksum covers them.
struct record { u32 number, version, check, words[1021]; };

static u32 record_check(const struct record *record) {
    u32 sum = record->number * 31 + record->version;
    for (u32 i = 0; i < COUNT(record->words); i++) sum = sum * 31 + record->words[i];
    return sum;
}

static void record_fill(struct record *record, u32 number, u32 version) {
    record->number = number;
    record->version = version;
    u32 x = number * 2654435761U + version + 1;
    for (u32 i = 0; i < COUNT(record->words); i++) record->words[i] = x = mix(x | 1);
    record->check = record_check(record);
}

int command_db(int count, char **arguments) {
    if (count < 2) {
        complain("usage: db DISK [OPERATIONS] [KIB]; ls /dev shows the disks");
        return 2;
    }
    u64 operations = argument(count, arguments, 2, 500), records = argument(count, arguments, 3, 1024) / 4;
    int disk = open(arguments[1]);
    if (disk < 0) {
        complain("db: %s: %s", arguments[1], error_text(disk));
        return 1;
    }
    struct record *record = map(sizeof *record);
    u32 *versions = map(records * sizeof *versions + 1);
    if (!record || !versions || !records) {
        complain("db: out of memory");
        return 1;
    }
    u64 start = clock_ns(), reads = 0, writes = 0;
    int error = 0;
    for (u32 i = 0; i < records && !error; i++) {
        record_fill(record, i, 0);
        seek(disk, (u64)i * sizeof *record);
        int n = write(disk, record, sizeof *record);
        if (n != sizeof *record) error = n < 0 ? n : -ENOSPC;
    }
    u64 loaded = clock_ns();
    u32 x = 362436069;
    for (u64 i = 0; i < operations && !error; i++) {
        u32 n = (x = mix(x)) % (u32)records;
        seek(disk, (u64)n * sizeof *record);
        int got = read(disk, record, sizeof *record);
        if (got != sizeof *record) error = got < 0 ? got : -EIO;
        else if (record->number != n || record->version != versions[n] || record->check != record_check(record)) {
            complain("db: record %u is wrong: number %u, version %u instead of %u", n, record->number, record->version, versions[n]);
            return 1;
        }
        reads++;
        if (error || (x >> 20 & 3)) continue; // every fourth is updated
        record_fill(record, n, ++versions[n]);
        seek(disk, (u64)n * sizeof *record);
        got = write(disk, record, sizeof *record);
        if (got != sizeof *record) error = got < 0 ? got : -ENOSPC;
        writes++;
    }
    if (error) {
        complain("db: %s: %s", arguments[1], error_text(error));
        return 1;
    }
    u64 ns = clock_ns() - loaded;
    result_begin("db");
    print(" records=%llu load_ns=%llu reads=%llu writes=%llu ns=%llu per_second=%llu check=%08x\n", records, loaded - start, reads, writes, ns, per_second(reads + writes, ns), x);
    return 0;
}

// Takes memory until the limit or until there is none: then the kernel ends it with a sentence.
int command_hog(int count, char **arguments) {
    u64 limit = argument(count, arguments, 1, 1024), taken = 0;
    for (; taken < limit; taken++) {
        volatile u8 *memory = map(MIB);
        if (!memory) break;
        for (u32 i = 0; i < 256; i++) memory[i * PAGE_SIZE] = 1;
    }
    result_begin("hog");
    print(" mib=%llu\n", taken);
    return 0;
}

static volatile u32 handled, alarms;

static void count_one(int signal) {
    if (signal == SIGALRM) alarms++;
    else handled++;
}

static void leave(int signal) {
    exit(signal);
}

// Status of a child that does `what`.
static int child_status(void (*what)(void)) {
    int status = -1, pid = fork();
    if (pid == 0) {
        what();
        exit(0);
    }
    if (pid > 0) wait(&status);
    return status;
}

static void touch_nothing(void) {
    on_signal(SIGSEGV, leave);
    u32 *volatile nothing = (u32 *)16;
    *nothing = 1;
}

static void ignore_and_die(void) {
    on_signal(SIGTERM, (void (*)(int))SIGNAL_IGNORE);
    kill(getpid(), SIGTERM);
    kill(getpid(), SIGKILL);
}

int command_signals(int count, char **arguments) {
    u64 n = argument(count, arguments, 1, 1000), start = clock_ns();
    on_signal(SIGUSR1, count_one);
    on_signal(SIGALRM, count_one);
    for (u64 i = 0; i < n; i++) kill(getpid(), SIGUSR1);
    u64 ns = clock_ns() - start;
    alarm(clock_ns() + 5 * MS);
    int woken = sleep_until(clock_ns() + 1000 * MS); // the alarm ends it
    int caught = child_status(touch_nothing), deadly = child_status(ignore_and_die);
    result_begin("signals");
    print(" n=%llu handled=%u alarms=%u woken=%d caught=%d deadly=%d ns=%llu ns_each=%llu\n", n, handled, alarms, -woken, caught, deadly, ns, n ? ns / n : 0);
    return handled != n || alarms != 1 || woken != -EINTR || caught != SIGSEGV || deadly != 128 + SIGKILL;
}
