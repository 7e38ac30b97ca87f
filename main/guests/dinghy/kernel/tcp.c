// TCP (RFC 9293), as small as serving and fetching needs: in-order receive, go-back-N retransmission with doubling time-outs,
// no options but the segment size. A time-out sequence of about a minute lets a connection survive a migration.
#include "net.h"
#include "platform.h"

enum { CLOSED, LISTEN, SYN_SENT, SYN_RECEIVED, ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK, TIME_WAIT };
enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };
#define BUFFER 8192U
#define SEGMENT 1460U
#define FIRST_TIMEOUT 200000000ULL
#define MOST_TIMEOUT 8000000000ULL
#define RETRIES 12

struct header { u16 from, to; u32 sequence, acknowledged; u8 offset, flags; u16 window, check, urgent; } __attribute__((packed));

struct tcp {
    struct tcp *next;
    u32 state;
    u32 remote;
    u16 remote_port, port;
    u32 sent_first, sent_next; // oldest byte not acknowledged; next to send
    u32 window;                // the other side's
    u32 expected;              // next byte to receive
    u32 out_first, out_end;    // sequence numbers of what `out` holds
    u32 in_first, in_end;      // counts of bytes read and received
    u8 *out, *in;
    bool want_fin;             // closed by the program: FIN behind the last byte
    bool got_fin, owned, reset;
    u64 timeout, deadline;
    u32 retries;
    struct tcp *listener;      // until accepted
};

static struct tcp *connections;
static u16 last_port = 49151;
static bool timer_runs;
static void timer_thread(void);

static struct tcp *tcp_new(void) {
    struct tcp *tcp = alloc(sizeof *tcp);
    if (!tcp) return NULL;
    tcp->next = connections;
    connections = tcp;
    if (!timer_runs) timer_runs = kernel_thread("tcp", timer_thread) > 0;
    return tcp;
}

static bool tcp_buffers(struct tcp *tcp) {
    tcp->out = page_alloc(1);
    tcp->in = page_alloc(1);
    return tcp->out && tcp->in;
}

static void tcp_free(struct tcp *tcp) {
    struct tcp **link = &connections;
    while (*link != tcp) link = &(*link)->next;
    *link = tcp->next;
    if (tcp->out) page_free(tcp->out, 1);
    if (tcp->in) page_free(tcp->in, 1);
    release(tcp, sizeof *tcp);
}

static bool send_segment(u32 to, u16 port, u16 from_port, u32 sequence, u32 acknowledged, u8 flags, u32 window, const u8 *ring, u32 ring_at, u32 bytes) {
    static u8 segment[sizeof(struct header) + 4 + SEGMENT];
    u32 head = sizeof(struct header) + (flags & SYN ? 4 : 0);
    struct header header = {be16(from_port), be16(port), be32(sequence), be32(acknowledged), (u8)(head / 4 << 4), flags, be16((u16)MIN(window, 65535U)), 0, 0};
    memcpy(segment, &header, sizeof header);
    if (flags & SYN) {
        static const u8 size_option[4] = {2, 4, SEGMENT >> 8, SEGMENT & 255};
        memcpy(segment + sizeof header, size_option, 4);
    }
    for (u32 i = 0; i < bytes; i++) segment[head + i] = ring[(ring_at + i) % BUFFER];
    u32 total = head + bytes;
    u32 sum = (own_address >> 16) + (own_address & 0xffff) + (to >> 16) + (to & 0xffff) + 6 + total;
    u16 check = checksum(sum, segment, total);
    segment[16] = (u8)(check >> 8);
    segment[17] = (u8)check;
    return ip_send(to, 6, segment, total);
}

static u32 room(const struct tcp *tcp) {
    return BUFFER - (tcp->in_end - tcp->in_first);
}

static void acknowledge(struct tcp *tcp) {
    send_segment(tcp->remote, tcp->remote_port, tcp->port, tcp->sent_next, tcp->expected, ACK, room(tcp), NULL, 0, 0);
}

static void arm(struct tcp *tcp) {
    tcp->deadline = clock_ns() + tcp->timeout;
    wakeup(&connections); // the timer's thread looks again
}

// Sends what the window allows from sent_next on: SYN, data, FIN.
static void push(struct tcp *tcp) {
    bool sent = false;
    if (tcp->state == SYN_SENT || tcp->state == SYN_RECEIVED) {
        send_segment(tcp->remote, tcp->remote_port, tcp->port, tcp->sent_first, tcp->expected, SYN | (tcp->state == SYN_RECEIVED ? ACK : 0), BUFFER, NULL, 0, 0);
        tcp->sent_next = tcp->sent_first + 1;
        sent = true;
    } else {
        for (;;) {
            u32 in_flight = tcp->sent_next - tcp->sent_first, left = tcp->out_end - tcp->sent_next;
            if ((s32)left <= 0) break;
            // A window of zero is probed with one byte at each time-out.
            u32 window = tcp->window > in_flight ? tcp->window - in_flight : in_flight ? 0 : 1, n = MIN(MIN(left, SEGMENT), window);
            if (!n) break;
            send_segment(tcp->remote, tcp->remote_port, tcp->port, tcp->sent_next, tcp->expected, ACK | PSH, room(tcp), tcp->out, tcp->sent_next, n);
            tcp->sent_next += n;
            sent = true;
        }
        if (tcp->want_fin && tcp->sent_next == tcp->out_end && (tcp->state == FIN_WAIT || tcp->state == LAST_ACK)) {
            send_segment(tcp->remote, tcp->remote_port, tcp->port, tcp->sent_next, tcp->expected, FIN | ACK, room(tcp), NULL, 0, 0);
            tcp->sent_next++;
            sent = true;
        }
    }
    if (sent && !tcp->deadline) arm(tcp);
}

static void finish(struct tcp *tcp, bool reset) {
    tcp->state = CLOSED;
    tcp->reset = reset;
    tcp->deadline = 0;
    wakeup(tcp);
    if (tcp->listener) wakeup(tcp->listener);
    if (!tcp->owned) tcp_free(tcp);
}

static void timer_thread(void) {
    for (;;) {
        u64 now = clock_ns(), next = 0;
        for (struct tcp *tcp = connections, *following; tcp; tcp = following) {
            following = tcp->next;
            if (!tcp->deadline) continue;
            if (now >= tcp->deadline) {
                if (tcp->state == TIME_WAIT || ++tcp->retries > RETRIES) {
                    finish(tcp, tcp->state != TIME_WAIT);
                    continue;
                }
                tcp->sent_next = tcp->sent_first; // everything again
                tcp->timeout = MIN(tcp->timeout * 2, MOST_TIMEOUT);
                tcp->deadline = now + tcp->timeout;
                push(tcp);
            }
            if (!next || tcp->deadline < next) next = tcp->deadline;
        }
        sleep_on(&connections, next);
    }
}

static void refuse(u32 from, const struct header *header, u32 length) {
    if (header->flags & RST) return;
    u32 acknowledged = be32(header->sequence) + length + !!(header->flags & SYN) + !!(header->flags & FIN);
    send_segment(from, be16(header->from), be16(header->to), header->flags & ACK ? be32(header->acknowledged) : 0, acknowledged, RST | ACK, 0, NULL, 0, 0);
}

static struct tcp *find(u32 from, u16 from_port, u16 port) {
    struct tcp *listener = NULL;
    for (struct tcp *tcp = connections; tcp; tcp = tcp->next) {
        if (tcp->port != port || tcp->state == CLOSED) continue;
        if (tcp->state == LISTEN) listener = tcp;
        else if (tcp->remote == from && tcp->remote_port == from_port) return tcp;
    }
    return listener;
}

static void opened(struct tcp *tcp) {
    tcp->state = ESTABLISHED;
    tcp->timeout = FIRST_TIMEOUT;
    tcp->retries = 0;
    wakeup(tcp);
    if (tcp->listener) wakeup(tcp->listener);
}

static void new_connection(struct tcp *listener, u32 from, const struct header *header) {
    u32 waiting = 0;
    for (struct tcp *tcp = connections; tcp; tcp = tcp->next) waiting += tcp->listener == listener;
    if (waiting >= 16) return; // the other side will try again
    struct tcp *tcp = tcp_new();
    if (!tcp) return;
    if (!tcp_buffers(tcp)) {
        tcp_free(tcp);
        return;
    }
    tcp->listener = listener;
    tcp->remote = from;
    tcp->remote_port = be16(header->from);
    tcp->port = listener->port;
    tcp->state = SYN_RECEIVED;
    tcp->expected = be32(header->sequence) + 1;
    tcp->sent_first = tcp->sent_next = (u32)clock_ns() >> 2;
    tcp->out_first = tcp->out_end = tcp->sent_first + 1;
    tcp->window = be16(header->window);
    tcp->timeout = FIRST_TIMEOUT;
    push(tcp);
}

void tcp_received(u32 from, const u8 *segment, u32 bytes) {
    struct header header;
    if (bytes < sizeof header) return;
    memcpy(&header, segment, sizeof header);
    u32 head = (header.offset >> 4) * 4U;
    u32 sum = (own_address >> 16) + (own_address & 0xffff) + (from >> 16) + (from & 0xffff) + 6 + bytes;
    if (head < sizeof header || head > bytes || checksum(sum, segment, bytes) != 0) return;
    const u8 *data = segment + head;
    u32 length = bytes - head, sequence = be32(header.sequence), acknowledged = be32(header.acknowledged);
    struct tcp *tcp = find(from, be16(header.from), be16(header.to));
    if (!tcp) {
        refuse(from, &header, length);
        return;
    }
    if (tcp->state == LISTEN) {
        if ((header.flags & (SYN | ACK | RST)) == SYN) new_connection(tcp, from, &header);
        else refuse(from, &header, length);
        return;
    }
    if (header.flags & RST) {
        if (tcp->state == SYN_SENT ? acknowledged == tcp->sent_next : sequence == tcp->expected) finish(tcp, true);
        return;
    }
    if (tcp->state == SYN_SENT) {
        if ((header.flags & (SYN | ACK)) != (SYN | ACK) || acknowledged != tcp->sent_first + 1) return;
        tcp->expected = sequence + 1;
        tcp->sent_first = tcp->sent_next = acknowledged;
        tcp->window = be16(header.window);
        tcp->deadline = 0;
        opened(tcp);
        acknowledge(tcp);
        return;
    }
    if (header.flags & SYN) { // our answer was lost, or theirs comes twice
        if (tcp->state == SYN_RECEIVED) push(tcp);
        else acknowledge(tcp);
        return;
    }
    if (!(header.flags & ACK)) return;
    u32 sent_end = tcp->out_end + (tcp->want_fin ? 1 : 0);
    if (tcp->state == SYN_RECEIVED && acknowledged == tcp->sent_first + 1) {
        tcp->sent_first = tcp->sent_next = acknowledged;
        tcp->deadline = 0;
        opened(tcp);
    }
    if ((s32)(acknowledged - tcp->sent_first) > 0 && (s32)(sent_end - acknowledged) >= 0) {
        tcp->sent_first = acknowledged;
        if ((s32)(tcp->sent_next - acknowledged) < 0) tcp->sent_next = acknowledged;
        tcp->out_first = MIN(acknowledged - tcp->out_first, tcp->out_end - tcp->out_first) + tcp->out_first;
        tcp->retries = 0;
        tcp->timeout = FIRST_TIMEOUT;
        tcp->deadline = 0;
        if (tcp->sent_first != tcp->sent_next) arm(tcp);
        wakeup(tcp);
    }
    tcp->window = be16(header.window);
    bool fin_acknowledged = tcp->want_fin && tcp->sent_first == tcp->out_end + 1;

    bool answer = false;
    if (length) {
        // Only the next byte in order is taken; what overlaps with the past is cut off.
        u32 skip = tcp->expected - sequence;
        if (skip < length && !tcp->got_fin) {
            u32 n = MIN(length - skip, room(tcp));
            for (u32 i = 0; i < n; i++) tcp->in[(tcp->in_end + i) % BUFFER] = data[skip + i];
            tcp->in_end += n;
            tcp->expected += n;
            wakeup(tcp);
        }
        answer = true;
    }
    if (header.flags & FIN) {
        answer = true;
        if (!tcp->got_fin && sequence + length == tcp->expected) {
            tcp->got_fin = true;
            tcp->expected++;
            if (tcp->state == ESTABLISHED) tcp->state = CLOSE_WAIT;
            wakeup(tcp);
        }
    }
    if (answer) acknowledge(tcp);
    if (tcp->state == LAST_ACK && fin_acknowledged) {
        finish(tcp, false);
        return;
    }
    if (tcp->state == FIN_WAIT && fin_acknowledged && tcp->got_fin) {
        tcp->state = TIME_WAIT;
        tcp->deadline = clock_ns() + 1000000000;
        wakeup(&connections);
        return;
    }
    if (tcp->state == FIN_WAIT && fin_acknowledged && !tcp->owned) tcp->deadline = clock_ns() + MOST_TIMEOUT, wakeup(&connections); // not for ever
    push(tcp);
}

// ---- for programs ----

int tcp_listen(u16 port, struct tcp **out) {
    if (!interface.up) return -ENOSYS;
    for (struct tcp *tcp = connections; tcp; tcp = tcp->next)
        if (tcp->port == port && tcp->state == LISTEN) return -EAGAIN;
    struct tcp *tcp = tcp_new();
    if (!tcp) return -ENOMEM;
    tcp->state = LISTEN;
    tcp->port = port;
    tcp->owned = true;
    *out = tcp;
    return 0;
}

int tcp_accept(struct tcp *listener, struct tcp **out) {
    if (listener->state != LISTEN) return -EINVAL;
    for (;;) {
        for (struct tcp *tcp = connections; tcp; tcp = tcp->next)
            if (tcp->listener == listener && tcp->state != SYN_RECEIVED) {
                tcp->listener = NULL;
                tcp->owned = true;
                *out = tcp;
                return 0;
            }
        if (sleep_on(listener, 0) == -EINTR) return -EINTR;
    }
}

int tcp_connect(u32 to, u16 port, struct tcp **out) {
    if (!interface.up) return -ENOSYS;
    struct tcp *tcp = tcp_new();
    if (!tcp) return -ENOMEM;
    tcp->owned = true;
    if (!tcp_buffers(tcp)) {
        tcp_free(tcp);
        return -ENOMEM;
    }
    last_port = last_port == 65535 ? 49152 : last_port + 1;
    tcp->port = last_port;
    tcp->remote = to;
    tcp->remote_port = port;
    tcp->sent_first = tcp->sent_next = (u32)clock_ns() >> 2;
    tcp->out_first = tcp->out_end = tcp->sent_first + 1;
    tcp->timeout = FIRST_TIMEOUT / 10; // the first attempt often only asks for the neighbour
    tcp->state = SYN_SENT;
    push(tcp);
    u64 deadline = clock_ns() + 10000000000ULL;
    while (tcp->state == SYN_SENT) {
        int why = sleep_on(tcp, deadline);
        if (why == 0) continue;
        tcp->state = CLOSED;
        tcp->deadline = 0;
        tcp_free(tcp);
        return why;
    }
    if (tcp->state == CLOSED) {
        tcp_free(tcp);
        return -ECONNREFUSED;
    }
    *out = tcp;
    return 0;
}

int tcp_read(struct tcp *tcp, u8 *to, uptr bytes) {
    if (tcp->state == LISTEN) return -EBADF;
    while (tcp->in_first == tcp->in_end) {
        if (tcp->got_fin) return 0;
        if (tcp->state == CLOSED) return tcp->reset ? -EPIPE : 0;
        if (sleep_on(tcp, 0) == -EINTR) return -EINTR;
    }
    bool was_full = room(tcp) < SEGMENT;
    uptr n = 0;
    while (n < bytes && tcp->in_first != tcp->in_end) to[n++] = tcp->in[tcp->in_first++ % BUFFER];
    if (was_full && room(tcp) >= SEGMENT && tcp->state != CLOSED) acknowledge(tcp); // the window is open again
    return (int)n;
}

int tcp_write(struct tcp *tcp, const u8 *from, uptr bytes) {
    uptr done = 0;
    while (done < bytes) {
        if (tcp->state != ESTABLISHED && tcp->state != CLOSE_WAIT) return -EPIPE;
        u32 n = MIN((u32)(bytes - done), BUFFER - (tcp->out_end - tcp->out_first));
        if (!n) {
            if (sleep_on(tcp, 0) == -EINTR) return -EINTR;
            continue;
        }
        for (u32 i = 0; i < n; i++) tcp->out[(tcp->out_end + i) % BUFFER] = from[done + i];
        tcp->out_end += n;
        done += n;
        push(tcp);
    }
    return (int)done;
}

void tcp_close(struct tcp *tcp) {
    tcp->owned = false;
    if (tcp->state == LISTEN) {
        for (struct tcp *other = connections, *next; other; other = next) {
            next = other->next;
            if (other->listener == tcp) other->listener = NULL, tcp_close(other);
        }
        tcp_free(tcp);
    } else if (tcp->state == ESTABLISHED || tcp->state == CLOSE_WAIT) {
        tcp->state = tcp->state == ESTABLISHED ? FIN_WAIT : LAST_ACK;
        tcp->want_fin = true;
        push(tcp);
        if (!tcp->deadline) arm(tcp);
    } else if (tcp->state == SYN_RECEIVED || tcp->state == CLOSED) {
        tcp_free(tcp);
    }
}
