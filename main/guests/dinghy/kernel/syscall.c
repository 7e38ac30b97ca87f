// System calls: checks what a program hands over, then calls the part of the kernel that does it.
#include "net.h"
#include "platform.h"

static struct file *file_of(uptr number) {
    return number < FILES ? current()->files[number] : NULL;
}

static int file_slot(struct file *file) {
    struct process *me = current();
    for (int i = 0; i < FILES; i++)
        if (!me->files[i]) {
            me->files[i] = file;
            return i;
        }
    return -EMFILE;
}

static int sys_pipe(uptr out) {
    int error = user_range(out, 2 * sizeof(s32), true);
    if (error) return error;
    struct file *ends[2];
    if ((error = pipe_create(&ends[0], &ends[1]))) return error;
    s32 *numbers = (s32 *)out;
    numbers[0] = file_slot(ends[0]);
    numbers[1] = numbers[0] < 0 ? -EMFILE : file_slot(ends[1]);
    if (numbers[1] >= 0) return 0;
    if (numbers[0] >= 0) current()->files[numbers[0]] = NULL;
    file_close(ends[0]);
    file_close(ends[1]);
    return -EMFILE;
}

static int sys_exec(struct trap_frame *frame, uptr user_path, uptr user_arguments) {
    char path[64];
    int error = user_string(path, user_path, sizeof path);
    if (error < 0) return error;
    char *packed = page_alloc(0); // the strings one behind another
    if (!packed) return -ENOMEM;
    uptr bytes = 0;
    u32 count = 0;
    for (;; count++) {
        uptr at = user_arguments + count * sizeof(uptr);
        if ((error = user_range(at, sizeof(uptr), false))) break;
        uptr string = *(uptr *)at;
        if (!string) break;
        int length = user_string(packed + bytes, string, PAGE_SIZE - bytes);
        if ((error = MIN(length, 0))) break;
        bytes += (uptr)length + 1;
    }
    if (!error) error = process_exec(frame, path, packed, bytes, count);
    page_free(packed, 0);
    return error;
}

static int sys_open(uptr user_path) {
    char path[64];
    int error = user_string(path, user_path, sizeof path);
    if (error < 0) return error;
    const struct archive_entry *entry = archive_find(path);
    struct disk *disk = entry ? NULL : disk_find(path);
    if (!entry && !disk) return -ENOENT;
    struct file *file = file_new(entry ? FILE_ARCHIVE : FILE_DISK);
    if (!file) return -ENOMEM;
    if (entry) file->entry = entry;
    else file->disk = disk;
    int slot = file_slot(file);
    if (slot < 0) file_close(file);
    return slot;
}

/// The n-th name of the archive and of the disks; its length, 0 behind the last.
static int sys_list(uptr n, uptr out, uptr size, uptr size_out) {
    struct disk *disk = n < archive_count ? NULL : disk_number((u32)(n - archive_count));
    if (n >= archive_count && !disk) return 0;
    const char *name = disk ? disk->name : archive[n].name;
    uptr length = strlen(name);
    int error = length < size ? user_range(out, length + 1, true) : -E2BIG;
    if (!error && size_out) error = user_range(size_out, sizeof(u64), true);
    if (error) return error;
    memcpy((void *)out, name, length + 1);
    if (size_out) *(u64 *)size_out = disk ? disk->sectors * 512 : archive[n].size;
    return (int)length;
}

static uptr sys_map(uptr bytes) {
    struct aspace *as = current()->space;
    bytes = ROUND_UP(bytes, PAGE_SIZE);
    uptr start = USER_MAP_BASE;
    struct region *last = NULL;
    for (u32 i = 0; i < REGIONS; i++)
        if (as->regions[i].kind == REGION_MAP && as->regions[i].end > start) last = &as->regions[i], start = last->end;
    if (!bytes || bytes > USER_END - start) return -(uptr)ENOMEM;
    if (last) {
        last->end += bytes; // neighbours are one region
        return start;
    }
    int error = aspace_region(as, start, start + bytes, REGION_MAP, true);
    return error ? (uptr)(long)error : start;
}

static int sys_unmap(uptr start, uptr bytes) {
    struct aspace *as = current()->space;
    uptr end = start + ROUND_UP(bytes, PAGE_SIZE);
    if (start % PAGE_SIZE || end <= start) return -EINVAL;
    for (u32 i = 0; i < REGIONS; i++) {
        struct region *region = &as->regions[i];
        if (region->kind != REGION_MAP || start < region->start || end > region->end) continue;
        uptr old_end = region->end;
        bool head = start > region->start, tail = end < old_end;
        if (head) region->end = start;
        else if (tail) region->start = end;
        else region->kind = REGION_FREE;
        if (head && tail) {
            int error = aspace_region(as, end, old_end, REGION_MAP, true);
            if (error) {
                region->end = old_end;
                return error;
            }
        }
        aspace_unmap(as, start, end);
        return 0;
    }
    return -EINVAL;
}

static uptr table_pages(void) {
    uptr n = kernel_space.tables;
    for (struct process *p = processes; p; p = p->all_next)
        if (p->space) n += p->space->tables;
    return n;
}

static int sys_info(uptr what, uptr out, uptr size) {
    int error = user_range(out, size, true);
    if (error) return error;
    void *to = (void *)out;
    switch (what) {
    case INFO_SYSTEM:
        if (size < sizeof machine) return -EINVAL;
        memcpy(to, &machine, sizeof machine);
        return sizeof machine;
    case INFO_MEMORY: {
        if (size < sizeof(struct info_memory)) return -EINVAL;
        uptr user = 0;
        for (struct process *p = processes; p; p = p->all_next) user += p->space ? p->space->resident : 0;
        uptr tables = table_pages();
        struct info_memory memory = {
            .total = (u64)end_pfn * PAGE_SIZE,
            .free = (u64)free_pages * PAGE_SIZE,
            .kernel = (u64)(end_pfn - total_pages) * PAGE_SIZE,
            .tables = (u64)tables * PAGE_SIZE,
            .user = (u64)user * PAGE_SIZE,
            .ballooned = (u64)ballooned_pages * PAGE_SIZE,
        };
        memcpy(to, &memory, sizeof memory);
        return sizeof memory;
    }
    case INFO_PROCESSES: {
        struct info_process *list = to;
        uptr n = 0;
        for (struct process *p = processes; p && n < size / sizeof *list; p = p->all_next, n++) {
            u64 running = p == current() ? clock_ns() - p->slice_start : 0;
            list[n] = (struct info_process){p->pid, p->parent ? p->parent->pid : 0, p->state, p->space ? p->space->resident : 0, p->cpu_ns + running, ""};
            strcopy(list[n].name, p->name, sizeof list[n].name);
        }
        return (int)(n * sizeof *list);
    }
    case INFO_LOG:
        return (int)log_copy(to, size);
    case INFO_COUNTERS:
        if (size < sizeof counters) return -EINVAL;
        memcpy(to, &counters, sizeof counters);
        return sizeof counters;
    default:
        return -EINVAL;
    }
}

static int sys_seek(uptr number, uptr position) {
    struct file *file = file_of(number);
    if (!file || (file->kind != FILE_ARCHIVE && file->kind != FILE_DISK)) return -EBADF;
    int error = user_range(position, sizeof(u64), false);
    if (!error) file->position = *(u64 *)position;
    return error;
}

static int sys_clock(uptr which, uptr out) {
    int error = user_range(out, sizeof(u64), true);
    if (error) return error;
    *(u64 *)out = which ? clock_wall_ns() : clock_ns();
    return 0;
}

static int sys_sleep(uptr until) {
    int error = user_range(until, sizeof(u64), false);
    if (error) return error;
    u64 deadline = *(u64 *)until;
    while (clock_ns() < deadline)
        if (sleep_on(&deadline, deadline) == -EINTR) return -EINTR;
    return 0;
}

static int sys_xenstore(uptr operation, uptr user_path, uptr user_value, uptr size) {
    char *page = page_alloc(0); // the path, then the value
    if (!page) return -ENOMEM;
    char *value = page + 512;
    size = MIN(size, PAGE_SIZE - 512);
    bool writes = operation == XS_OP_WRITE;
    int result = user_string(page, user_path, 512);
    if (result >= 0) result = user_range(user_value, size, !writes);
    if (result >= 0 && writes) memcpy(value, (const void *)user_value, size);
    if (result >= 0) result = xenstore((int)operation, page, value, size);
    if (result > 0 && !writes && (result = MIN(result, (int)size), user_range(user_value, (uptr)result, true) == 0)) memcpy((void *)user_value, value, (uptr)result);
    page_free(page, 0);
    return result;
}

static int file_result(struct file *file) {
    int slot = file_slot(file);
    if (slot < 0) file_close(file);
    return slot;
}

static int sys_udp(uptr operation, uptr a, uptr b) {
    struct file *file;
    int error;
    if (operation == NET_UDP_OPEN) { // port
        struct udp *udp;
        if ((error = udp_open((u16)a, &udp))) return error;
        if (!(file = file_new(FILE_UDP))) {
            udp_close(udp);
            return -ENOMEM;
        }
        file->udp = udp;
        return file_result(file);
    }
    if (!(file = file_of(a)) || file->kind != FILE_UDP) return -EBADF; // file, where the datagram is described
    if ((error = user_range(b, sizeof(struct net_datagram), true))) return error;
    struct net_datagram datagram = *(struct net_datagram *)b;
    u32 bytes = MIN(datagram.bytes, (u32)DATAGRAM_MAX);
    if (operation == NET_UDP_SEND) {
        if ((error = user_range((uptr)datagram.data, datagram.bytes, false))) return error;
        return udp_send(file->udp, datagram.address, (u16)datagram.port, (const void *)(uptr)datagram.data, datagram.bytes);
    }
    // The program's memory may go while it sleeps: the bytes wait in the kernel's.
    u8 *copy = alloc(DATAGRAM_MAX);
    if (!copy) return -ENOMEM;
    int received = udp_receive(file->udp, datagram.timeout_ns, &datagram.address, &datagram.port, copy, bytes);
    if (received >= 0 && !(error = user_range((uptr)datagram.data, (uptr)received, true)) && !(error = user_range(b, sizeof datagram, true))) {
        memcpy((void *)(uptr)datagram.data, copy, (uptr)received);
        datagram.bytes = (u32)received;
        *(struct net_datagram *)b = datagram;
    }
    release(copy, DATAGRAM_MAX);
    return error ? error : received;
}

static int sys_net(uptr operation, uptr a, uptr b, uptr c) {
    struct tcp *tcp = NULL;
    struct file *file;
    int error;
    switch (operation) {
    case NET_INFO: {
        struct info_net net = {interface.up, own_address, own_mask, gateway, {0}};
        memcpy(net.mac, interface.mac, 6);
        if ((error = user_range(a, sizeof net, true))) return error;
        memcpy((void *)a, &net, sizeof net);
        return 0;
    }
    case NET_PING: { // address, sequence, where the ns go
        if ((error = user_range(c, sizeof(u64), true))) return error;
        s64 ns = net_ping((u32)a, (u16)current()->pid, (u16)b, 1000000000);
        if (ns < 0) return (int)ns;
        *(u64 *)c = (u64)ns;
        return 0;
    }
    case NET_LISTEN: error = tcp_listen((u16)a, &tcp); break;
    case NET_ACCEPT:
        if (!(file = file_of(a)) || file->kind != FILE_TCP) return -EBADF;
        error = tcp_accept(file->tcp, &tcp);
        break;
    case NET_CONNECT: error = tcp_connect((u32)a, (u16)b, &tcp); break;
    case NET_UDP_OPEN:
    case NET_UDP_SEND:
    case NET_UDP_RECEIVE: return sys_udp(operation, a, b);
    default: return -EINVAL;
    }
    if (error) return error;
    if (!(file = file_new(FILE_TCP))) {
        tcp_close(tcp);
        return -ENOMEM;
    }
    file->tcp = tcp;
    return file_result(file);
}

static uptr dispatch(struct trap_frame *frame, uptr call, uptr a, uptr b, uptr c, uptr d) {
    struct file *file;
    int error;
    switch (call) {
    case SYS_exit: process_exit((int)a);
    case SYS_fork: return (uptr)(long)process_fork(frame);
    case SYS_exec: return (uptr)(long)sys_exec(frame, a, b);
    case SYS_wait: {
        if ((error = a ? user_range(a, sizeof(s32), true) : 0)) return (uptr)(long)error;
        int status = 0, pid = process_wait(&status);
        if (a && pid > 0) *(s32 *)a = status;
        return (uptr)(long)pid;
    }
    case SYS_pipe: return (uptr)(long)sys_pipe(a);
    case SYS_read:
        if (!(file = file_of(a))) return -(uptr)EBADF;
        if ((error = user_range(b, c, true))) return (uptr)(long)error;
        return (uptr)(long)file_read(file, (u8 *)b, c);
    case SYS_write:
        if (!(file = file_of(a))) return -(uptr)EBADF;
        if ((error = user_range(b, c, false))) return (uptr)(long)error;
        return (uptr)(long)file_write(file, (const u8 *)b, c);
    case SYS_close:
        if (!(file = file_of(a))) return -(uptr)EBADF;
        current()->files[a] = NULL;
        file_close(file);
        return 0;
    case SYS_dup2:
        if (!(file = file_of(a)) || b >= FILES) return -(uptr)EBADF;
        if (a == b) return b;
        if (current()->files[b]) file_close(current()->files[b]);
        file->refs++;
        current()->files[b] = file;
        return b;
    case SYS_open: return (uptr)(long)sys_open(a);
    case SYS_map: return sys_map(a);
    case SYS_unmap: return (uptr)(long)sys_unmap(a, b);
    case SYS_pid: return (uptr)current()->pid;
    case SYS_kill: return (uptr)(long)process_kill((int)a, (u32)b);
    case SYS_signal: return (uptr)(long)signal_action((u32)a, b, c);
    case SYS_signal_return: return signal_return(frame, a);
    case SYS_alarm:
        if ((error = user_range(a, sizeof(u64), false))) return (uptr)(long)error;
        alarm_set(*(u64 *)a);
        return 0;
    case SYS_yield: yield(); return 0;
    case SYS_sleep: return (uptr)(long)sys_sleep(a);
    case SYS_clock: return (uptr)(long)sys_clock(a, b);
    case SYS_info: return (uptr)(long)sys_info(a, b, c);
    case SYS_foreground: process_foreground((int)a); return 0;
    case SYS_group: current()->group = (s32)a; return 0;
    case SYS_power: platform_power((int)a);
    case SYS_seek: return (uptr)(long)sys_seek(a, b);
    case SYS_net: return (uptr)(long)sys_net(a, b, c, d);
    case SYS_xenstore: return (uptr)(long)sys_xenstore(a, b, c, d);
    case SYS_list: return (uptr)(long)sys_list(a, b, c, d);
    default: return -(uptr)ENOSYS;
    }
}

void system_call(struct trap_frame *frame) {
    counters.syscalls++;
#ifdef __x86_64__
    frame->rax = dispatch(frame, frame->rax, frame->rdi, frame->rsi, frame->rdx, frame->r10);
#else
    frame->eax = dispatch(frame, frame->eax, frame->ebx, frame->ecx, frame->edx, frame->esi);
#endif
}
