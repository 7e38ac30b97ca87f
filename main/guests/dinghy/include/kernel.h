// The kernel above the platform: memory, processes, files, time, log. Everything here runs with interrupts off and under one
// lock, both given up only in user mode and in cpu_idle(); a system call or fault handler is never preempted.
#pragma once
#include "abi.h"

// ---- log ----
void printk(const char *form, ...);
/// For dmesg only: what would otherwise come between a prompt and what is typed there.
void log_only(const char *form, ...);
noreturn void panic(const char *form, ...);
/// Copies the newest `size` bytes of the kernel log; returns how many.
uptr log_copy(char *to, uptr size);

// ---- page frames (pages.c) ----
#define PG_RESERVED 1 // never given out
#define PG_TABLE 2    // in use as a page table that the hypervisor watches (PV): written through mmu_update only
#define PG_FREE 4
#define PG_KERNEL 8
struct page {
    u32 next;   // pfn of the next page in whatever list the page is on; 0 ends it
    u16 refs;   // users of the frame
    u8 flags;
    u8 order;   // of a free block
};
extern struct page *pages;
extern uptr total_pages, free_pages, end_pfn;
/// Takes ownership of [first, end) as free memory.
void pages_add(uptr first, uptr end);
/// Places the array of struct page at `first`; returns the first pfn after it.
uptr pages_init(uptr first, uptr end);
/// 2^order pages, aligned to their size, contents undefined. NULL when there is no memory.
void *page_alloc(u32 order);
void page_free(void *page, u32 order);
/// Single pages with a reference count, for user memory.
void page_get(uptr pfn);
void page_put(uptr pfn);
/// Small objects, 16 to 2048 bytes. NULL when there is no memory.
void *alloc(uptr size);
void release(void *object, uptr size);

/// Memory that the hypervisor took back, in pages.
extern uptr ballooned_pages;

// ---- address spaces (vm.c) ----
enum { REGION_FREE, REGION_DATA, REGION_STACK, REGION_MAP };
struct region { uptr start, end; u8 kind; bool writable; };
#define REGIONS 12
struct aspace {
    pte_t *root;       // what the CPU uses in the kernel
    pte_t *user_root;  // 64-bit PV: what it uses in user mode; otherwise equal to root
    bool live;         // the hypervisor knows the tables (PV)
    u32 tables;        // pages used for page tables
    u32 table_list;    // pfn of the first table page
    u32 resident;      // user pages mapped
    struct region regions[REGIONS];
};
extern struct aspace kernel_space;
struct aspace *aspace_create(void);
struct aspace *aspace_fork(struct aspace *from);
/// A zeroed page that belongs to the space's tables and is freed with it.
pte_t *aspace_table(struct aspace *as);
void aspace_destroy(struct aspace *as);
/// Makes the tables known to the machine; needed once before the space is first used.
int aspace_commit(struct aspace *as);
int aspace_region(struct aspace *as, uptr start, uptr end, u8 kind, bool writable);
/// Maps one page that exists; takes over the caller's reference.
int aspace_map(struct aspace *as, uptr va, uptr pfn, pte_t flags);
void aspace_unmap(struct aspace *as, uptr start, uptr end);
/// Resolves a page fault at va; 0, or a negative error when the access is wrong.
int aspace_fault(struct aspace *as, uptr va, bool write);
/// Makes user memory present (and private when written) so that the kernel can touch it without a fault.
int user_range(uptr address, uptr bytes, bool write);
/// Copies a string in; -EFAULT, or -E2BIG when it does not end within size.
int user_string(char *to, uptr address, uptr size);

// ---- files ----
enum { FILE_CONSOLE = 1, FILE_PIPE_READ, FILE_PIPE_WRITE, FILE_ARCHIVE, FILE_DISK, FILE_TCP, FILE_UDP };
struct pipe;
struct archive_entry;
struct file {
    u8 kind;
    u16 refs;
    u64 position;
    union { struct pipe *pipe; const struct archive_entry *entry; struct disk *disk; struct tcp *tcp; struct udp *udp; };
};
struct file *file_new(u8 kind);
void file_close(struct file *file);
int file_read(struct file *file, u8 *to, uptr bytes);
int file_write(struct file *file, const u8 *from, uptr bytes);
int pipe_create(struct file **read_end, struct file **write_end);
int pipe_read(struct file *file, u8 *to, uptr bytes);
int pipe_write(struct file *file, const u8 *from, uptr bytes);
void pipe_close(struct file *file);

struct archive_entry { const char *name; const u8 *data; uptr size; };
extern const struct archive_entry archive[];
extern const uptr archive_count;
const struct archive_entry *archive_find(const char *path);

struct disk {
    char name[16];
    u64 sectors; // of 512 bytes
    bool read_only;
    /// Whole pages from or to `count` (at most 8) page-aligned buffers; sleeps. 0 or a negative error.
    int (*transfer)(struct disk *disk, bool write, u64 sector, void **buffers, u32 count);
    struct disk *next;
};
void disk_add(struct disk *disk);
struct disk *disk_find(const char *name);
struct disk *disk_number(u32 n);
int disk_transfer(struct disk *disk, bool write, u64 position, u8 *user, uptr bytes);

// ---- processes (process.c) ----
#define KSTACK_ORDER 1
#define KSTACK_SIZE (PAGE_SIZE << KSTACK_ORDER)
#define FILES 16
#define MAX_PROCESSES 256
struct trap_frame;
struct process {
    uptr sp;                 // saved kernel stack pointer
    u32 cpu;                 // where it runs or ran last
    s32 pid;
    s32 group;               // a pipeline's processes share it
    u32 state;
    struct process *next;    // run queue
    struct process *all_next;
    struct process *parent;
    struct aspace *space;
    void *channel;           // what it sleeps on
    u64 wake_at;             // or when, 0 = never
    u64 cpu_ns;
    u64 slice_start;
    int exit_status;
    bool killed;             // a signal ends it on its way back to user mode
    u8 killed_by;
    u32 pending, blocked, ignored; // signals as bits
    uptr handlers[SIGNALS];
    uptr signal_return;      // where a handler returns to
    u64 alarm_at;            // when SIGALRM comes, 0 = never
    bool first_cpu;          // may run on CPU 0 only
    struct file *files[FILES];
    char name[16];
};
static inline struct process *current(void) {
    uptr sp;
    __asm__ volatile("mov %%" 
#ifdef __x86_64__
                     "rsp"
#else
                     "esp"
#endif
                     ", %0" : "=r"(sp));
    return (struct process *)ROUND_DOWN(sp, KSTACK_SIZE);
}
// One CPU. Its idle thread has no space and is in no list.
#define MAX_CPUS 8
struct cpu {
    struct process *idle;
    struct aspace *space;   // loaded
    u64 armed;              // deadline of its timer, 0 = none
    bool reschedule;        // at the next return to user mode
    bool resting;           // in cpu_idle()
};
extern struct cpu cpus[MAX_CPUS];
extern u32 cpu_count;
static inline struct cpu *this_cpu(void) { return &cpus[current()->cpu]; }
void kernel_lock(void);
void kernel_unlock(void);
/// Makes the idle thread of CPU n; the top of its stack, or 0.
uptr cpu_prepare(u32 n);
/// What a further CPU does once the platform has set it up: it is counted, and rests until there is work. Call it unlocked.
noreturn void cpu_run(void);
/// Loads a space on this CPU.
void aspace_use(struct aspace *as);

extern struct process *processes;
extern struct info_counters counters;
void process_init(void);
int process_fork(struct trap_frame *frame);
int process_exec(struct trap_frame *frame, const char *path, const char *arguments, uptr bytes, u32 count);
/// Starts a thread that lives in the kernel only and never returns.
int kernel_thread(const char *name, void (*run)(void));
noreturn void process_exit(int status);
int process_wait(int *status);
int process_kill(int pid, u32 signal);
/// Lets a process that sleeps or runs elsewhere notice what has changed.
void process_notify(struct process *p);
void process_foreground(int group);
/// From here on the caller runs on CPU 0 only, until it says `false`.
void process_first_cpu(bool only);
/// Control-C on the console: ends the processes of the foreground group.
void process_interrupt(void);
/// Sleeps until wakeup(channel), until `deadline` (ns, 0 = none) or until a signal. Returns 0, -EAGAIN on time-out, -EINTR for a signal.
int sleep_on(void *channel, u64 deadline);
/// Sleeps until wakeup(channel), also when killed.
void sleep_always(void *channel);
void wakeup(void *channel);
void yield(void);
/// Called on the way back to user mode.
void return_to_user(struct trap_frame *frame);
/// The timer's interrupt: wakes sleepers and ends slices.
void timer_tick(void);
void account_user_entry(void);

// ---- signals (signal.c) ----
void signal_send(struct process *p, u32 signal);
/// A signal is waiting that ends a sleep.
static inline bool signal_waits(const struct process *p) {
    return p->killed || (p->pending & ~p->blocked);
}
/// Ends the process or enters handlers, on the way back to user mode.
void signal_deliver(struct trap_frame *frame);
/// True when a handler takes the signal that an exception stands for; it runs on the way back.
bool signal_exception(u32 signal);
int signal_action(u32 signal, uptr handler, uptr signal_return);
/// The end of a handler: registers are again what they were. Returns what the interrupted code had in the result register.
uptr signal_return(struct trap_frame *frame, uptr saved);
/// SIGALRM at `at` (clock_ns time), 0 = never.
void alarm_set(u64 at);

// ---- system calls, traps ----
void system_call(struct trap_frame *frame);
void page_fault(struct trap_frame *frame, uptr address);
void user_exception(struct trap_frame *frame, const char *what);

// ---- console (console.c) ----
void console_received(u8 byte);
int console_read(u8 *to, uptr bytes);
void console_out(const char *text, uptr bytes);

void kernel_main(void);
extern char command_line[1024];
/// Value of `name=` on the command line into `to`; false when absent.
bool command_option(const char *name, char *to, uptr size);
