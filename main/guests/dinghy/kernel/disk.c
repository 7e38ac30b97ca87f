// Disks as files: reads and writes of any position and length, by whole sectors through pages of the kernel.
#include "kernel.h"

#define SECTOR 512
#define CHUNK 8 // pages a transfer

static struct disk *disks;

void disk_add(struct disk *disk) {
    disk->next = disks;
    disks = disk;
}

struct disk *disk_find(const char *name) {
    struct disk *disk = disks;
    while (disk && strcmp(disk->name, name)) disk = disk->next;
    return disk;
}

struct disk *disk_number(u32 n) {
    struct disk *disk = disks;
    while (disk && n--) disk = disk->next;
    return disk;
}

/// Reads or writes; for a write that does not cover whole pages, their old contents are read first.
int disk_transfer(struct disk *disk, bool write, u64 position, u8 *user, uptr bytes) {
    u64 size = disk->sectors * SECTOR / PAGE_SIZE * PAGE_SIZE; // a last part of a page is not used
    if (write && disk->read_only) return -EBADF;
    if (position >= size) return write ? -ENOSPC : 0;
    if (bytes > size - position) bytes = (uptr)(size - position);
    void *buffers[CHUNK];
    u32 have = 0;
    uptr done = 0;
    int error = 0;
    while (have < CHUNK && have < bytes / PAGE_SIZE + 2 && (buffers[have] = page_alloc(0))) have++;
    if (!have) return -ENOMEM;
    while (done < bytes && !error) {
        u64 from = (position + done) / PAGE_SIZE * PAGE_SIZE;
        uptr skip = (uptr)(position + done - from), n = MIN(bytes - done, have * PAGE_SIZE - skip);
        u32 count = (u32)((skip + n + PAGE_SIZE - 1) / PAGE_SIZE);
        bool whole = skip == 0 && n % PAGE_SIZE == 0;
        if (!write || !whole) error = disk->transfer(disk, false, from / SECTOR, buffers, count);
        for (uptr at = 0; at < n && !error;) {
            uptr offset = skip + at, piece = MIN(n - at, PAGE_SIZE - offset % PAGE_SIZE);
            u8 *page = (u8 *)buffers[offset / PAGE_SIZE] + offset % PAGE_SIZE;
            if (write) memcpy(page, user + done + at, piece);
            else memcpy(user + done + at, page, piece);
            at += piece;
        }
        if (write && !error) error = disk->transfer(disk, true, from / SECTOR, buffers, count);
        done += n;
    }
    while (have) page_free(buffers[--have], 0);
    return error ? error : (int)done;
}
