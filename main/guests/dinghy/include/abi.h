// What user programs and the kernel agree on: system call numbers, errors and the structures they exchange.
// A system call is `int $0x80` on every machine: number in eax/rax, arguments in ebx ecx edx esi edi
// (32-bit) or rdi rsi rdx r10 r8 (64-bit), result in eax/rax, negative when it is an error.
#pragma once
#include "base.h"

enum {
    SYS_exit, SYS_fork, SYS_exec, SYS_wait, SYS_pipe, SYS_read, SYS_write, SYS_close, SYS_dup2, SYS_open, SYS_map, SYS_unmap,
    SYS_pid, SYS_kill, SYS_yield, SYS_sleep, SYS_clock, SYS_info, SYS_foreground, SYS_power, SYS_xenstore, SYS_seek, SYS_list,
    SYS_group, SYS_net, SYS_signal, SYS_signal_return, SYS_alarm,
    SYS_count
};

#define ENOENT 2
#define ESRCH 3
#define EINTR 4
#define EIO 5
#define E2BIG 7
#define ENOEXEC 8
#define EBADF 9
#define ECHILD 10
#define EAGAIN 11
#define ENOMEM 12
#define EACCES 13
#define EFAULT 14
#define EINVAL 22
#define EMFILE 24
#define ENOSPC 28
#define EPIPE 32
#define ENOSYS 38
#define ECONNREFUSED 111

// Signals, numbered as everywhere. What is not listed may be sent, too; without a handler all but SIGCHLD end the process.
enum { SIGINT = 2, SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGFPE = 8, SIGKILL = 9, SIGUSR1 = 10, SIGSEGV = 11, SIGALRM = 14, SIGTERM = 15, SIGCHLD = 17, SIGNALS = 32 };
// SYS_signal: instead of a handler's address.
#define SIGNAL_DEFAULT 0
#define SIGNAL_IGNORE 1

// Power-off kinds, as sched_op's shutdown reasons number them.
enum { POWER_OFF = 0, POWER_REBOOT = 1, POWER_CRASH = 3 };

// SYS_info: what to read.
enum { INFO_SYSTEM, INFO_MEMORY, INFO_PROCESSES, INFO_LOG, INFO_COUNTERS };

struct info_system {
    char mode[16];        // native, pv, pvh
    char hypervisor[32];  // empty on bare hardware
    char cpu[52];
    u32 bits;
    u32 vcpus;
    u32 tsc_khz;
    u32 hypervisor_major, hypervisor_minor;
};

struct info_memory {
    u64 total, free, kernel, tables, user; // bytes
    u64 ballooned;
};

enum { PROC_FREE, PROC_READY, PROC_RUNNING, PROC_SLEEPING, PROC_ZOMBIE };

struct info_process {
    s32 pid, parent;
    u32 state;
    u32 pages; // resident user pages
    u64 cpu_ns;
    char name[16];
};

struct info_counters {
    u64 switches, faults, cow_copies, syscalls, interrupts, forks, execs, hypercalls;
};

// SYS_net: operations. Addresses are in host byte order.
enum { NET_INFO, NET_PING, NET_LISTEN, NET_ACCEPT, NET_CONNECT, NET_UDP_OPEN, NET_UDP_SEND, NET_UDP_RECEIVE };
struct info_net {
    u32 up, address, mask, gateway;
    u8 mac[6];
};

// One datagram to send, or where one is to be received and how long to wait for it.
struct net_datagram {
    u32 address, port;
    u64 data, timeout_ns;
    u32 bytes;
};
#define DATAGRAM_MAX 1472

enum { XS_OP_READ, XS_OP_WRITE, XS_OP_LIST, XS_OP_REMOVE };
