// The C library of user programs, as small as they need it.
#pragma once
#include "abi.h"

uptr system_call(uptr number, uptr a, uptr b, uptr c, uptr d);
noreturn void exit(int status);
int fork(void);
int exec(const char *path, char *const arguments[]);
int wait(int *status);
int pipe(int ends[2]);
int read(int file, void *to, uptr bytes);
int write(int file, const void *from, uptr bytes);
int close(int file);
int dup2(int from, int to);
int open(const char *path);
int seek(int file, u64 position);
/// Fresh zeroed memory, or NULL.
void *map(uptr bytes);
int unmap(void *start, uptr bytes);
int getpid(void);
int kill(int pid, int signal);
/// Calls `handler` for a signal; SIGNAL_DEFAULT and SIGNAL_IGNORE are handlers, too.
int on_signal(int signal, void (*handler)(int));
/// SIGALRM at `at` (clock_ns time), 0 = never.
void alarm(u64 at);
void yield(void);
int sleep_until(u64 ns);
u64 clock_ns(void);
u64 clock_wall_ns(void);
int info(int what, void *to, uptr size);
/// Control-C ends the processes of this group; 0 = none.
void foreground(int group);
void join_group(int group);
int power(int how);

/// Buffered; flush() or exit() writes what waits.
void print(const char *form, ...);
void flush(void);
/// Writes an error sentence to the console: "name: text".
void complain(const char *form, ...);
const char *error_text(int error);
/// The whole file in fresh memory, or a negative error. The caller may leave it to exit().
int read_file(const char *path, u8 **to);

int net(int operation, uptr a, uptr b, uptr c);

struct command { const char *name; int (*run)(int count, char **arguments); const char *help; };
extern const struct command commands[];
extern const u32 command_count;

/// The optional n-th argument as a number.
u64 argument(int count, char **arguments, int n, u64 otherwise);

/// First words of every result line: the workload and the machine on which it ran.
void result_begin(const char *workload);
/// value per second, in whole units.
u64 per_second(u64 value, u64 ns);
