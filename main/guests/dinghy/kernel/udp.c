// UDP (RFC 768): sockets with a short queue; what comes to a full queue is dropped, as on every network.
#include "net.h"
#include "platform.h"

#define QUEUE 16

struct header { u16 from, to, length, check; } __attribute__((packed));
struct datagram { struct datagram *next; u32 from; u16 port, bytes; u8 data[]; };

struct udp {
    struct udp *next;
    u16 port;
    u32 waiting;
    struct datagram *first, *last;
};

static struct udp *sockets;
static u16 last_port = 49151;

static struct udp *socket_of(u16 port) {
    struct udp *udp = sockets;
    while (udp && udp->port != port) udp = udp->next;
    return udp;
}

static u16 udp_checksum(u32 other, const void *segment, u32 bytes) {
    return checksum((own_address >> 16) + (own_address & 0xffff) + (other >> 16) + (other & 0xffff) + 17 + bytes, segment, bytes);
}

void udp_received(u32 from, const u8 *data, u32 bytes) {
    struct header header;
    if (bytes < sizeof header) return;
    memcpy(&header, data, sizeof header);
    u32 length = be16(header.length);
    if (length < sizeof header || length > bytes || (header.check && udp_checksum(from, data, length) != 0)) return;
    struct udp *udp = socket_of(be16(header.to));
    u32 payload = length - sizeof header;
    if (!udp || udp->waiting == QUEUE || payload > DATAGRAM_MAX) return;
    struct datagram *datagram = alloc(sizeof *datagram + payload);
    if (!datagram) return;
    *datagram = (struct datagram){.from = from, .port = be16(header.from), .bytes = (u16)payload};
    memcpy(datagram->data, data + sizeof header, payload);
    if (udp->first) udp->last->next = datagram;
    else udp->first = datagram;
    udp->last = datagram;
    udp->waiting++;
    wakeup(udp);
}

int udp_open(u16 port, struct udp **out) {
    if (!interface.up) return -ENOSYS;
    if (port && socket_of(port)) return -EAGAIN;
    while (!port) {
        last_port = last_port == 65535 ? 49152 : last_port + 1;
        if (!socket_of(last_port)) port = last_port;
    }
    struct udp *udp = alloc(sizeof *udp);
    if (!udp) return -ENOMEM;
    *udp = (struct udp){.next = sockets, .port = port};
    sockets = udp;
    *out = udp;
    return 0;
}

int udp_send(struct udp *udp, u32 to, u16 port, const void *data, u32 bytes) {
    if (bytes > DATAGRAM_MAX) return -E2BIG;
    u8 *segment = alloc(sizeof(struct header) + bytes);
    if (!segment) return -ENOMEM;
    u32 total = sizeof(struct header) + bytes;
    struct header header = {be16(udp->port), be16(port), be16((u16)total), 0};
    memcpy(segment, &header, sizeof header);
    memcpy(segment + sizeof header, data, bytes);
    u16 check = udp_checksum(to, segment, total);
    if (!check) check = 0xffff; // zero means none
    segment[6] = (u8)(check >> 8);
    segment[7] = (u8)check;
    u64 deadline = clock_ns() + 1000000000;
    int result = (int)bytes;
    while (!ip_send(to, 17, segment, total)) {
        result = ip_wait(deadline) == -EINTR ? -EINTR : clock_ns() >= deadline ? -EAGAIN : (int)bytes;
        if (result < 0) break;
    }
    release(segment, total);
    return result;
}

int udp_receive(struct udp *udp, u64 timeout_ns, u32 *from, u32 *port, void *data, u32 bytes) {
    u64 deadline = clock_ns() + timeout_ns;
    while (!udp->first) {
        int why = sleep_on(udp, deadline);
        if (why == -EINTR || (why == -EAGAIN && !udp->first)) return why;
    }
    struct datagram *datagram = udp->first;
    udp->first = datagram->next;
    udp->waiting--;
    bytes = MIN(bytes, datagram->bytes);
    memcpy(data, datagram->data, bytes);
    *from = datagram->from;
    *port = datagram->port;
    release(datagram, sizeof *datagram + datagram->bytes);
    return (int)bytes;
}

void udp_close(struct udp *udp) {
    struct udp **link = &sockets;
    while (*link != udp) link = &(*link)->next;
    *link = udp->next;
    for (struct datagram *next; udp->first; udp->first = next) {
        next = udp->first->next;
        release(udp->first, sizeof *udp->first + udp->first->bytes);
    }
    release(udp, sizeof *udp);
}
