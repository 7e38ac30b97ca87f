// Open files, and the read-only archive that is linked into the image.
#include "net.h"

struct file *file_new(u8 kind) {
    struct file *file = alloc(sizeof *file);
    if (file) file->kind = kind, file->refs = 1;
    return file;
}

void file_close(struct file *file) {
    if (--file->refs) return;
    if (file->kind == FILE_PIPE_READ || file->kind == FILE_PIPE_WRITE) pipe_close(file);
    if (file->kind == FILE_TCP) tcp_close(file->tcp);
    if (file->kind == FILE_UDP) udp_close(file->udp);
    release(file, sizeof *file);
}

int file_read(struct file *file, u8 *to, uptr bytes) {
    switch (file->kind) {
    case FILE_CONSOLE: return console_read(to, bytes);
    case FILE_PIPE_READ: return pipe_read(file, to, bytes);
    case FILE_TCP: return tcp_read(file->tcp, to, bytes);
    case FILE_ARCHIVE: {
        u64 left = file->position < file->entry->size ? file->entry->size - file->position : 0;
        uptr n = MIN(bytes, (uptr)left);
        memcpy(to, file->entry->data + file->position, n);
        file->position += n;
        return (int)n;
    }
    case FILE_DISK: {
        int n = disk_transfer(file->disk, false, file->position, to, bytes);
        if (n > 0) file->position += (u64)n;
        return n;
    }
    default: return -EBADF;
    }
}

int file_write(struct file *file, const u8 *from, uptr bytes) {
    switch (file->kind) {
    case FILE_CONSOLE: console_out((const char *)from, bytes); return (int)bytes;
    case FILE_PIPE_WRITE: return pipe_write(file, from, bytes);
    case FILE_TCP: return tcp_write(file->tcp, from, bytes);
    case FILE_DISK: {
        int n = disk_transfer(file->disk, true, file->position, (u8 *)from, bytes);
        if (n > 0) file->position += (u64)n;
        return n;
    }
    default: return -EBADF;
    }
}

const struct archive_entry *archive_find(const char *path) {
    for (uptr i = 0; i < archive_count; i++)
        if (strcmp(archive[i].name, path) == 0) return &archive[i];
    return NULL;
}
