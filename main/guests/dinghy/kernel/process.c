// Processes and the scheduler: round robin with 10 ms slices, one-shot timer, fork with copy on write, exec, wait, kill.
// A process's structure lies at the bottom of its kernel stack, so the stack pointer names the current process.
#include "platform.h"

#define SLICE_NS 10000000ULL

struct process *processes;
struct info_counters counters;
static struct process *ready_first, *ready_last;
struct cpu cpus[MAX_CPUS];
u32 cpu_count = 1;
static u64 next_wake; // earliest wake_at of all sleepers, 0 = none
static s32 last_pid, foreground_group;
static u32 process_count;

static uptr stack_top(struct process *p) {
    return (uptr)p + KSTACK_SIZE;
}

static void arm(u64 deadline) {
    struct cpu *cpu = this_cpu();
    if (cpu->armed && cpu->armed <= deadline) return; // an early tick does no harm
    cpu->armed = deadline;
    timer_arm(deadline);
}

// ---- several CPUs ----

static u32 lock;

void kernel_lock(void) {
    while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
        while (__atomic_load_n(&lock, __ATOMIC_RELAXED)) platform_relax();
}

void kernel_unlock(void) {
    __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
}

static void kick_one(const struct process *p) {
    if (p->first_cpu) {
        cpus[0].reschedule = true;
        if (current()->cpu != 0) platform_kick(0);
        return;
    }
    for (u32 i = 0; i < cpu_count; i++) {
        if (!cpus[i].resting || i == current()->cpu) continue;
        cpus[i].resting = false; // once is enough
        platform_kick(i);
        return;
    }
}

static void make_ready(struct process *p, bool first) {
    p->state = PROC_READY;
    p->channel = NULL;
    p->wake_at = 0;
    if (!ready_first) {
        p->next = NULL;
        ready_first = ready_last = p;
    } else if (first) {
        p->next = ready_first;
        ready_first = p;
    } else {
        p->next = NULL;
        ready_last->next = p;
        ready_last = p;
    }
    if (cpu_count > 1) kick_one(p);
}

/// The next process that this CPU may run, taken off the queue; NULL when there is none.
static struct process *take_ready(u32 cpu) {
    struct process *before = NULL, *p = ready_first;
    for (; p && p->first_cpu && cpu != 0; p = p->next) before = p;
    if (!p) return NULL;
    if (before) before->next = p->next;
    else ready_first = p->next;
    if (ready_last == p) ready_last = before;
    return p;
}

static void schedule(void) {
    struct process *me = current();
    struct cpu *cpu = this_cpu();
    u64 now = clock_ns();
    me->cpu_ns += now - me->slice_start;
    cpu->reschedule = false;
    struct process *next = take_ready(me->cpu);
    if (next) {
        next->state = PROC_RUNNING;
        // With one CPU a slice ends only when others wait; with more, others may come to wait elsewhere.
        if (ready_first || cpu_count > 1) arm(now + SLICE_NS);
    } else {
        next = cpu->idle;
    }
    next->slice_start = now;
    if (next_wake) arm(next_wake);
    if (next == me) return;
    next->cpu = me->cpu;
    if (next->space) {
        counters.switches++;
        aspace_use(next->space);
        kernel_stack_set(stack_top(next));
    } else if (cpu_count > 1) {
        aspace_use(&kernel_space); // the space may end while this thread runs
    }
    context_switch(&me->sp, next->sp);
}

static void idle_loop(void) {
    for (;;) {
        this_cpu()->resting = true;
        cpu_idle();
        this_cpu()->resting = false;
        if (ready_first) schedule();
    }
}

void aspace_use(struct aspace *as) {
    struct cpu *cpu = this_cpu();
    if (cpu->space == as) return;
    cpu->space = as;
    mmu_switch(as);
}

void yield(void) {
    make_ready(current(), false);
    schedule();
}

void process_first_cpu(bool only) {
    current()->first_cpu = only;
    while (only && current()->cpu != 0) yield();
}

static void wake_by(u64 deadline) {
    if (!next_wake || deadline < next_wake) next_wake = deadline;
}

int sleep_on(void *channel, u64 deadline) {
    struct process *me = current();
    if (signal_waits(me)) return -EINTR;
    me->state = PROC_SLEEPING;
    me->channel = channel;
    me->wake_at = deadline;
    if (deadline) wake_by(deadline);
    schedule();
    if (signal_waits(me)) return -EINTR;
    return deadline && clock_ns() >= deadline ? -EAGAIN : 0;
}

void sleep_always(void *channel) {
    struct process *me = current();
    me->state = PROC_SLEEPING;
    me->channel = channel;
    me->wake_at = 0;
    schedule();
}

void wakeup(void *channel) {
    for (struct process *p = processes; p; p = p->all_next)
        if (p->state == PROC_SLEEPING && p->channel == channel) make_ready(p, false);
    struct process *me = current();
    if (ready_first && me->state == PROC_RUNNING) arm(me->slice_start + SLICE_NS);
}

void timer_tick(void) {
    u64 now = clock_ns();
    this_cpu()->armed = 0;
    if (next_wake && now >= next_wake) {
        next_wake = 0;
        for (struct process *p = processes; p; p = p->all_next) {
            if (p->alarm_at && now >= p->alarm_at) {
                p->alarm_at = 0;
                signal_send(p, SIGALRM);
            } else if (p->alarm_at) {
                wake_by(p->alarm_at);
            }
            if (p->state != PROC_SLEEPING || !p->wake_at) continue;
            if (now >= p->wake_at) {
                make_ready(p, true);
                this_cpu()->reschedule = true;
            } else {
                wake_by(p->wake_at);
            }
        }
    }
    struct process *me = current();
    if (me->state == PROC_RUNNING && (ready_first || cpu_count > 1)) {
        if (now < me->slice_start + SLICE_NS) arm(me->slice_start + SLICE_NS);
        else if (ready_first) this_cpu()->reschedule = true;
        else me->slice_start = now, me->cpu_ns += SLICE_NS, arm(now + SLICE_NS);
    }
    if (next_wake) arm(next_wake);
}

void return_to_user(struct trap_frame *frame) {
    if (this_cpu()->reschedule) yield();
    if (signal_waits(current())) signal_deliver(frame);
}

// ---- creation and end ----

static struct process *process_new(void) {
    if (process_count >= MAX_PROCESSES) return NULL;
    struct process *p = page_alloc(KSTACK_ORDER);
    if (!p) return NULL;
    memset(p, 0, sizeof *p);
    p->pid = ++last_pid;
    p->all_next = processes;
    processes = p;
    process_count++;
    return p;
}

static void process_delete(struct process *p) {
    struct process **link = &processes;
    while (*link != p) link = &(*link)->all_next;
    *link = p->all_next;
    process_count--;
    page_free(p, KSTACK_ORDER);
}

// The stack and structure of a thread that is in no list, entering at `run`.
static struct process *idle_new(u32 cpu, void (*run)(void)) {
    struct process *p = page_alloc(KSTACK_ORDER);
    if (!p) return NULL;
    memset(p, 0, sizeof *p);
    p->cpu = cpu;
    p->state = PROC_SLEEPING;
    uptr *sp = (uptr *)stack_top(p) - 2;
    *--sp = (uptr)run;
    for (u32 i = 0; i < (BITS == 64 ? 6 : 4); i++) *--sp = 0;
    p->sp = (uptr)sp;
    cpus[cpu].idle = p;
    cpus[cpu].space = &kernel_space;
    return p;
}

uptr cpu_prepare(u32 n) {
    struct process *p = idle_new(n, idle_loop);
    return p ? stack_top(p) : 0;
}

void cpu_run(void) {
    kernel_lock();
    cpu_count++;
    machine.vcpus = cpu_count;
    current()->slice_start = clock_ns();
    idle_loop();
    panic("the idle loop ended");
}

void process_init(void) {
    struct process *me = current(); // on the boot stack, which is never freed
    memset(me, 0, sizeof *me);
    me->pid = ++last_pid;
    me->state = PROC_RUNNING;
    strcopy(me->name, "init", sizeof me->name);
    struct file *console = file_new(FILE_CONSOLE);
    console->refs = 3;
    me->files[0] = me->files[1] = me->files[2] = console;
    me->slice_start = clock_ns();
    processes = me;
    process_count = 1;
    if (!cpu_prepare(0)) panic("no memory for the idle thread");
}

int process_fork(struct trap_frame *frame) {
    struct process *me = current(), *child = process_new();
    if (!child) return -EAGAIN;
    child->space = aspace_fork(me->space);
    if (!child->space) {
        process_delete(child);
        return -ENOMEM;
    }
    counters.forks++;
    child->parent = me;
    child->group = me->group;
    child->blocked = me->blocked;
    child->ignored = me->ignored;
    child->signal_return = me->signal_return;
    memcpy(child->handlers, me->handlers, sizeof child->handlers);
    strcopy(child->name, me->name, sizeof child->name);
    for (u32 i = 0; i < FILES; i++)
        if ((child->files[i] = me->files[i])) child->files[i]->refs++;
    struct trap_frame *copy = (struct trap_frame *)stack_top(child) - 1;
    *copy = *frame;
#ifdef __x86_64__
    copy->rax = 0;
#else
    copy->eax = 0;
#endif
    // What context_switch() pops: the callee-saved registers, then its return address.
    uptr *sp = (uptr *)copy;
    *--sp = (uptr)fork_return;
    for (u32 i = 0; i < (BITS == 64 ? 6 : 4); i++) *--sp = 0;
    child->sp = (uptr)sp;
    make_ready(child, false);
    arm(me->slice_start + SLICE_NS);
    return child->pid;
}

int kernel_thread(const char *name, void (*run)(void)) {
    struct process *p = process_new();
    if (!p) return -ENOMEM;
    strcopy(p->name, name, sizeof p->name);
    uptr *sp = (uptr *)stack_top(p) - 2;
    *--sp = (uptr)run;
    for (u32 i = 0; i < (BITS == 64 ? 6 : 4); i++) *--sp = 0;
    p->sp = (uptr)sp;
    make_ready(p, false);
    return p->pid;
}

void process_exit(int status) {
    struct process *me = current();
    if (me->pid == 1) panic("init ended with status %d", status);
    for (u32 i = 0; i < FILES; i++)
        if (me->files[i]) file_close(me->files[i]), me->files[i] = NULL;
    for (struct process *p = processes; p; p = p->all_next)
        if (p->parent == me) {
            p->parent = processes;
            for (struct process *q = processes; q; q = q->all_next)
                if (q->pid == 1) p->parent = q;
            wakeup(p->parent);
        }
    struct aspace *as = me->space;
    me->space = NULL;
    aspace_use(&kernel_space);
    aspace_destroy(as);
    me->exit_status = status;
    me->state = PROC_ZOMBIE;
    signal_send(me->parent, SIGCHLD);
    wakeup(me->parent);
    schedule();
    panic("a dead process ran");
}

int process_wait(int *status) {
    struct process *me = current();
    for (bool interrupted = false;;) {
        bool any = false;
        for (struct process *p = processes; p; p = p->all_next) {
            if (p->parent != me) continue;
            any = true;
            if (p->state != PROC_ZOMBIE) continue;
            int pid = p->pid;
            *status = p->exit_status;
            process_delete(p);
            return pid;
        }
        if (!any) return -ECHILD;
        if (interrupted) return -EINTR; // a child that has ended comes before its signal
        interrupted = sleep_on(me, 0) == -EINTR;
    }
}

void process_notify(struct process *p) {
    if (p->state == PROC_RUNNING) {
        cpus[p->cpu].reschedule = true;
        if (p->cpu != current()->cpu) platform_kick(p->cpu);
    }
    if (p->state == PROC_SLEEPING) make_ready(p, true);
}

int process_kill(int pid, u32 signal) {
    if (pid == 1 || signal == 0 || signal >= SIGNALS) return -EINVAL;
    for (struct process *p = processes; p; p = p->all_next)
        if (p->pid == pid && p->state != PROC_ZOMBIE) {
            if (!p->space) return -EINVAL; // a thread of the kernel
            signal_send(p, signal);
            return 0;
        }
    return -ESRCH;
}

void alarm_set(u64 at) {
    current()->alarm_at = at;
    if (!at) return;
    wake_by(at);
    arm(next_wake);
}

void process_foreground(int group) {
    foreground_group = group;
}

void process_interrupt(void) {
    if (!foreground_group) return;
    for (struct process *p = processes; p; p = p->all_next)
        if (p->group == foreground_group && p->state != PROC_ZOMBIE) {
            signal_send(p, SIGINT);
            this_cpu()->reschedule = true;
        }
}

// ---- exec ----

struct elf_header {
    u8 ident[16];
    u16 type, machine;
    u32 version;
    uptr entry, program_headers, section_headers;
    u32 flags;
    u16 size, program_header_size, program_headers_count;
};
struct elf_segment {
    u32 type;
#ifdef __x86_64__
    u32 flags;
    u64 offset, vaddr, paddr, file_size, memory_size, align;
#else
    u32 offset, vaddr, paddr, file_size, memory_size, flags, align;
#endif
};

// Whole pages of the file are mapped where they lie; only the page in which file contents end is copied.
static int load_segment(struct aspace *as, const u8 *image, const struct elf_segment *segment) {
    bool writable = segment->flags & 2;
    uptr start = ROUND_DOWN(segment->vaddr, PAGE_SIZE), end = ROUND_UP(segment->vaddr + segment->memory_size, PAGE_SIZE);
    int error = aspace_region(as, start, end, REGION_DATA, writable);
    uptr file_end = segment->vaddr + segment->file_size;
    for (uptr va = start; va < file_end && !error; va += PAGE_SIZE) {
        const u8 *from = image + segment->offset + (va - segment->vaddr);
        if (va + PAGE_SIZE > file_end && segment->memory_size > segment->file_size) {
            u8 *copy = page_alloc(0);
            if (!copy) return -ENOMEM;
            memset(copy, 0, PAGE_SIZE);
            memcpy(copy, from, file_end - va);
            error = aspace_map(as, va, PFN_OF(copy), writable ? PTE_W : 0);
        } else {
            page_get(PFN_OF(from));
            error = aspace_map(as, va, PFN_OF(from), writable ? PTE_COW : 0);
        }
    }
    return error;
}

int process_exec(struct trap_frame *frame, const char *path, const char *arguments, uptr bytes, u32 count) {
    struct process *me = current();
    const struct archive_entry *file = archive_find(path);
    if (!file) return -ENOENT;
    const struct elf_header *elf = (const void *)file->data;
    if (file->size < sizeof *elf || memcmp(elf->ident, "\177ELF", 4)) return -ENOEXEC;
    uptr table = (count + 2) * sizeof(uptr);
    if (table + bytes > PAGE_SIZE - 16) return -E2BIG;

    struct aspace *as = aspace_create();
    u8 *stack = page_alloc(0);
    int error = as && stack ? 0 : -ENOMEM;
    for (u32 i = 0; !error && i < elf->program_headers_count; i++) {
        const struct elf_segment *segment = (const void *)(file->data + elf->program_headers + i * elf->program_header_size);
        if (segment->type == 1) error = load_segment(as, file->data, segment);
    }
    uptr sp = 0;
    if (!error) {
        // Stack, from its top: the strings, then argc and argv as the C start-up code expects them.
        memset(stack, 0, PAGE_SIZE);
        uptr strings = PAGE_SIZE - ROUND_UP(bytes, 16);
        uptr vector = ROUND_DOWN(strings - table, 16);
        uptr base = USER_STACK_TOP - PAGE_SIZE;
        memcpy(stack + strings, arguments, bytes);
        uptr *words = (uptr *)(stack + vector);
        *words++ = count;
        const char *at = (const char *)stack + strings;
        for (u32 i = 0; i < count; i++) {
            *words++ = base + ((u8 *)at - stack);
            at += strlen(at) + 1;
        }
        sp = base + vector;
        error = aspace_region(as, USER_STACK_TOP - USER_STACK_BYTES, USER_STACK_TOP, REGION_STACK, true);
        if (!error) {
            u8 *given = stack;
            stack = NULL;
            error = aspace_map(as, base, PFN_OF(given), PTE_W);
        }
    }
    if (!error) error = aspace_commit(as);
    if (error) {
        if (stack) page_free(stack, 0);
        if (as) aspace_destroy(as);
        return error;
    }
    struct aspace *old = me->space;
    me->space = as;
    aspace_use(as);
    if (old) aspace_destroy(old);
    memset(me->handlers, 0, sizeof me->handlers);
    me->pending = me->blocked = 0;
    counters.execs++;
    const char *name = path;
    for (const char *c = path; *c; c++)
        if (*c == '/') name = c + 1;
    strcopy(me->name, name, sizeof me->name);
    u64 cs = frame->cs, ss = frame->ss;
    uptr flags = frame->flags;
#ifndef __x86_64__
    u32 ds = frame->ds;
#endif
    memset(frame, 0, sizeof *frame);
#ifndef __x86_64__
    frame->ds = frame->es = ds;
#endif
    frame->cs = cs;
    frame->ss = ss;
    frame->flags = flags;
    frame->ip = elf->entry;
    frame->sp = sp;
    return 0;
}
