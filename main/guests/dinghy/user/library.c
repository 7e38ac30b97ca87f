// System call wrappers, buffered output, start-up.
#include "user.h"

noreturn void exit(int status) {
    flush();
    system_call(SYS_exit, (uptr)status, 0, 0, 0);
    for (;;) {}
}
int fork(void) {
    flush(); // or both copies would print it
    return (int)system_call(SYS_fork, 0, 0, 0, 0);
}
int exec(const char *path, char *const arguments[]) {
    flush();
    return (int)system_call(SYS_exec, (uptr)path, (uptr)arguments, 0, 0);
}
int wait(int *status) { return (int)system_call(SYS_wait, (uptr)status, 0, 0, 0); }
int pipe(int ends[2]) { return (int)system_call(SYS_pipe, (uptr)ends, 0, 0, 0); }
int read(int file, void *to, uptr bytes) { return (int)system_call(SYS_read, (uptr)file, (uptr)to, bytes, 0); }
int write(int file, const void *from, uptr bytes) { return (int)system_call(SYS_write, (uptr)file, (uptr)from, bytes, 0); }
int close(int file) { return (int)system_call(SYS_close, (uptr)file, 0, 0, 0); }
int dup2(int from, int to) { return (int)system_call(SYS_dup2, (uptr)from, (uptr)to, 0, 0); }
int open(const char *path) { return (int)system_call(SYS_open, (uptr)path, 0, 0, 0); }
int seek(int file, u64 position) { return (int)system_call(SYS_seek, (uptr)file, (uptr)&position, 0, 0); }
void *map(uptr bytes) {
    long result = (long)system_call(SYS_map, bytes, 0, 0, 0);
    return result < 0 ? NULL : (void *)result;
}
int unmap(void *start, uptr bytes) { return (int)system_call(SYS_unmap, (uptr)start, bytes, 0, 0); }
int getpid(void) { return (int)system_call(SYS_pid, 0, 0, 0, 0); }
int kill(int pid, int signal) { return (int)system_call(SYS_kill, (uptr)pid, (uptr)signal, 0, 0); }
_Static_assert(SYS_signal_return == 26, "start.S says 26");
int on_signal(int signal, void (*handler)(int)) {
    extern void signal_return(void);
    return (int)system_call(SYS_signal, (uptr)signal, (uptr)handler, (uptr)signal_return, 0);
}
void alarm(u64 at) { system_call(SYS_alarm, (uptr)&at, 0, 0, 0); }
void yield(void) { system_call(SYS_yield, 0, 0, 0, 0); }
int sleep_until(u64 ns) { return (int)system_call(SYS_sleep, (uptr)&ns, 0, 0, 0); }
u64 clock_ns(void) {
    u64 ns = 0;
    system_call(SYS_clock, 0, (uptr)&ns, 0, 0);
    return ns;
}
u64 clock_wall_ns(void) {
    u64 ns = 0;
    system_call(SYS_clock, 1, (uptr)&ns, 0, 0);
    return ns;
}
int info(int what, void *to, uptr size) { return (int)system_call(SYS_info, (uptr)what, (uptr)to, size, 0); }
void foreground(int group) { system_call(SYS_foreground, (uptr)group, 0, 0, 0); }
void join_group(int group) { system_call(SYS_group, (uptr)group, 0, 0, 0); }
int net(int operation, uptr a, uptr b, uptr c) { return (int)system_call(SYS_net, (uptr)operation, a, b, c); }
int power(int how) { return (int)system_call(SYS_power, (uptr)how, 0, 0, 0); }

static char waiting[512];
static uptr waiting_bytes;

void flush(void) {
    for (uptr done = 0; done < waiting_bytes;) {
        int n = write(1, waiting + done, waiting_bytes - done);
        if (n <= 0) {
            waiting_bytes = 0;
            exit(1); // nobody reads any more
        }
        done += (uptr)n;
    }
    waiting_bytes = 0;
}

static void emit(const char *text, uptr n) {
    for (uptr i = 0; i < n; i++) {
        if (waiting_bytes == sizeof waiting) flush();
        waiting[waiting_bytes++] = text[i];
    }
}

void print(const char *form, ...) {
    char line[512];
    __builtin_va_list arguments;
    __builtin_va_start(arguments, form);
    uptr n = (uptr)vformat(line, sizeof line, form, arguments);
    __builtin_va_end(arguments);
    emit(line, MIN(n, sizeof line - 1));
}

void complain(const char *form, ...) {
    char line[256];
    flush();
    __builtin_va_list arguments;
    __builtin_va_start(arguments, form);
    uptr n = (uptr)vformat(line, sizeof line, form, arguments);
    __builtin_va_end(arguments);
    write(2, line, MIN(n, sizeof line - 1));
    write(2, "\n", 1);
}

const char *error_text(int error) {
    switch (-error) {
    case ENOENT: return "not found";
    case ESRCH: return "no such process";
    case EINTR: return "interrupted";
    case EIO: return "input/output error";
    case E2BIG: return "too long";
    case ENOEXEC: return "not a program";
    case EBADF: return "not open for this";
    case ECHILD: return "no child";
    case EAGAIN: return "no room for another process";
    case ENOMEM: return "out of memory";
    case EACCES: return "not permitted";
    case EFAULT: return "bad address";
    case EINVAL: return "invalid argument";
    case EMFILE: return "too many open files";
    case ENOSPC: return "no space left";
    case EPIPE: return "nobody reads the pipe";
    case ENOSYS: return "not supported on this machine";
    case ECONNREFUSED: return "connection refused";
    default: return "unknown error";
    }
}

int read_file(const char *path, u8 **to) {
    int file = open(path);
    if (file < 0) return file;
    char name[64];
    u64 size = 0;
    for (u32 n = 0; (int)system_call(SYS_list, n, (uptr)name, sizeof name, (uptr)&size) > 0; n++)
        if (strcmp(name, path) == 0) break;
    u8 *buffer = map(size + 1);
    if (!buffer) {
        close(file);
        return -ENOMEM;
    }
    uptr have = 0;
    for (int n; (n = read(file, buffer + have, size + 1 - have)) > 0;) have += (uptr)n;
    close(file);
    *to = buffer;
    return (int)have;
}

u64 argument(int count, char **arguments, int n, u64 otherwise) {
    return n < count ? number(arguments[n], NULL) : otherwise;
}

u64 per_second(u64 value, u64 ns) {
    while (value > (1ULL << 33)) value >>= 1, ns >>= 1; // keeps the product below 2^64
    return ns ? value * 1000000000ULL / ns : 0;
}

void result_begin(const char *workload) {
    struct info_system system;
    info(INFO_SYSTEM, &system, sizeof system);
    print("result %s machine=%s-%u vcpus=%u", workload, system.mode, system.bits, system.vcpus);
}

noreturn void user_main(int count, char **arguments) {
    const char *name = arguments[0];
    for (const char *c = name; *c; c++)
        if (*c == '/') name = c + 1;
    for (u32 i = 0; i < command_count; i++)
        if (strcmp(commands[i].name, name) == 0) exit(commands[i].run(count, arguments));
    complain("%s: no such command", name);
    exit(127);
}
