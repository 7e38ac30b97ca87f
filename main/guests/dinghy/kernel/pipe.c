// Pipes: one page of ring buffer between two files.
#include "kernel.h"

struct pipe {
    u8 *ring;
    uptr head, tail; // bytes ever written, bytes ever read
    u32 readers, writers;
};

static void pipe_release(struct pipe *pipe) {
    page_free(pipe->ring, 0);
    release(pipe, sizeof *pipe);
}

int pipe_create(struct file **read_end, struct file **write_end) {
    struct pipe *pipe = alloc(sizeof *pipe);
    if (!pipe) return -ENOMEM;
    pipe->ring = page_alloc(0);
    struct file *r = file_new(FILE_PIPE_READ), *w = file_new(FILE_PIPE_WRITE);
    if (!pipe->ring || !r || !w) {
        if (pipe->ring) page_free(pipe->ring, 0);
        release(pipe, sizeof *pipe);
        if (r) release(r, sizeof *r);
        if (w) release(w, sizeof *w);
        return -ENOMEM;
    }
    pipe->readers = pipe->writers = 1;
    r->pipe = w->pipe = pipe;
    *read_end = r;
    *write_end = w;
    return 0;
}

int pipe_read(struct file *file, u8 *to, uptr bytes) {
    struct pipe *pipe = file->pipe;
    while (pipe->head == pipe->tail) {
        if (!pipe->writers) return 0;
        if (sleep_on(pipe, 0) == -EINTR) return -EINTR;
    }
    uptr n = MIN(bytes, pipe->head - pipe->tail);
    for (uptr i = 0; i < n; i++) to[i] = pipe->ring[pipe->tail++ % PAGE_SIZE];
    wakeup(pipe);
    return (int)n;
}

int pipe_write(struct file *file, const u8 *from, uptr bytes) {
    struct pipe *pipe = file->pipe;
    uptr done = 0;
    while (done < bytes) {
        if (!pipe->readers) return -EPIPE;
        if (pipe->head - pipe->tail == PAGE_SIZE) {
            if (sleep_on(pipe, 0) == -EINTR) return -EINTR;
            continue;
        }
        while (done < bytes && pipe->head - pipe->tail < PAGE_SIZE) pipe->ring[pipe->head++ % PAGE_SIZE] = from[done++];
        wakeup(pipe);
    }
    return (int)done;
}

void pipe_close(struct file *file) {
    struct pipe *pipe = file->pipe;
    if (file->kind == FILE_PIPE_READ) pipe->readers--;
    else pipe->writers--;
    wakeup(pipe);
    if (!pipe->readers && !pipe->writers) pipe_release(pipe);
}
