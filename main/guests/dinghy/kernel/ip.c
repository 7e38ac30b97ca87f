// Ethernet, ARP (RFC 826), IPv4 without fragments (RFC 791), ICMP echo (RFC 792).
#include "net.h"
#include "platform.h"

struct interface interface;
u32 own_address, own_mask, gateway;

struct ethernet { u8 to[6], from[6]; u16 type; } __attribute__((packed));
struct arp { u16 hardware, protocol; u8 hardware_size, protocol_size; u16 operation; u8 from_mac[6]; u32 from; u8 to_mac[6]; u32 to; } __attribute__((packed));
struct ip { u8 version, service; u16 length, id, fragment; u8 ttl, protocol; u16 check; u32 from, to; } __attribute__((packed));
struct echo { u8 type, code; u16 check, id, sequence; u64 sent; } __attribute__((packed));

static const u8 broadcast[6] = {255, 255, 255, 255, 255, 255};

// Who has which address; the oldest entry gives way. One packet waits for each address that is being asked for.
static struct neighbour { u32 address; u8 mac[6]; bool known; u64 used; } neighbours[16];

u16 checksum(u32 sum, const void *data, u32 bytes) {
    const u8 *p = data;
    for (; bytes > 1; bytes -= 2, p += 2) sum += (u32)(p[0] << 8 | p[1]);
    if (bytes) sum += (u32)p[0] << 8;
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return (u16)~sum;
}

static void send_frame(const u8 *to, u16 type, const void *head, u32 head_bytes, const void *data, u32 bytes) {
    static u8 frame[1514];
    struct ethernet *ethernet = (struct ethernet *)frame;
    if (!interface.up || sizeof *ethernet + head_bytes + bytes > sizeof frame) return;
    memcpy(ethernet->to, to, 6);
    memcpy(ethernet->from, interface.mac, 6);
    ethernet->type = be16(type);
    memcpy(frame + sizeof *ethernet, head, head_bytes);
    memcpy(frame + sizeof *ethernet + head_bytes, data, bytes);
    u32 total = sizeof *ethernet + head_bytes + bytes;
    if (total < 60) memset(frame + total, 0, 60 - total), total = 60;
    interface.send(frame, total);
}

static void arp_send(u16 operation, u32 to, const u8 *to_mac) {
    struct arp arp = {.hardware = be16(1), .protocol = be16(0x800), .hardware_size = 6, .protocol_size = 4, .operation = be16(operation), .from = be32(own_address), .to = be32(to)};
    memcpy(arp.from_mac, interface.mac, 6);
    if (to_mac) memcpy(arp.to_mac, to_mac, 6);
    send_frame(to_mac ? to_mac : broadcast, 0x806, &arp, sizeof arp, NULL, 0);
}

static struct neighbour *neighbour(u32 address, bool create) {
    struct neighbour *oldest = neighbours;
    for (u32 i = 0; i < COUNT(neighbours); i++) {
        if (neighbours[i].address == address) return &neighbours[i];
        if (neighbours[i].used < oldest->used) oldest = &neighbours[i];
    }
    if (!create) return NULL;
    *oldest = (struct neighbour){.address = address, .used = clock_ns()};
    return oldest;
}

static void arp_received(const struct arp *arp) {
    u32 from = be32(arp->from);
    bool for_us = be32(arp->to) == own_address;
    if (!from) return;
    struct neighbour *known = neighbour(from, for_us);
    if (known) {
        memcpy(known->mac, arp->from_mac, 6);
        known->known = true;
        wakeup(neighbours);
    }
    if (for_us && be16(arp->operation) == 1) arp_send(2, from, arp->from_mac);
}

bool ip_send(u32 to, u8 protocol, const void *data, u32 bytes) {
    static u16 id;
    u32 hop = (to ^ own_address) & own_mask ? gateway : to;
    if (!hop) return false;
    struct neighbour *next = neighbour(hop, true);
    next->used = clock_ns();
    if (!next->known) {
        arp_send(1, hop, NULL);
        return false;
    }
    struct ip ip = {.version = 0x45, .length = be16((u16)(sizeof ip + bytes)), .id = be16(id++), .fragment = be16(0x4000), .ttl = 64, .protocol = protocol, .from = be32(own_address), .to = be32(to)};
    ip.check = be16(checksum(0, &ip, sizeof ip));
    send_frame(next->mac, 0x800, &ip, sizeof ip, data, bytes);
    return true;
}

int ip_wait(u64 deadline) {
    return sleep_on(neighbours, MIN(deadline, clock_ns() + 100000000));
}

// ---- ICMP echo ----

static struct waiting { u16 id, sequence; u64 rtt; bool answered; struct waiting *next; } *waiting;

static void icmp_received(u32 from, const u8 *data, u32 bytes) {
    struct echo echo;
    if (bytes < 8 || checksum(0, data, bytes) != 0) return;
    memcpy(&echo, data, MIN(bytes, sizeof echo));
    if (echo.type == 8) {
        static u8 answer[1480];
        if (bytes > sizeof answer) return;
        memcpy(answer, data, bytes);
        answer[0] = 0;
        answer[2] = answer[3] = 0;
        u16 check = checksum(0, answer, bytes);
        answer[2] = (u8)(check >> 8);
        answer[3] = (u8)check;
        ip_send(from, 1, answer, bytes);
    } else if (echo.type == 0 && bytes >= sizeof echo) {
        for (struct waiting *w = waiting; w; w = w->next)
            if (w->id == be16(echo.id) && w->sequence == be16(echo.sequence)) {
                w->rtt = clock_ns() - echo.sent;
                w->answered = true;
                wakeup(w);
            }
    }
}

s64 net_ping(u32 to, u16 id, u16 sequence, u64 timeout_ns) {
    if (!interface.up) return -ENOSYS;
    struct waiting me = {id, sequence, 0, false, waiting};
    u64 start = clock_ns(), deadline = start + timeout_ns;
    s64 result = -EAGAIN;
    waiting = &me;
    bool sent = false;
    while (!me.answered && clock_ns() < deadline) {
        if (!sent) {
            struct echo echo = {.type = 8, .id = be16(id), .sequence = be16(sequence), .sent = clock_ns()};
            echo.check = be16(checksum(0, &echo, sizeof echo));
            sent = ip_send(to, 1, &echo, sizeof echo);
        }
        // Until the neighbour is known, it is asked for ten times a second.
        int why = sent ? sleep_on(&me, deadline) : ip_wait(deadline);
        if (why == -EINTR) {
            result = -EINTR;
            break;
        }
    }
    struct waiting **link = &waiting;
    while (*link != &me) link = &(*link)->next;
    *link = me.next;
    return me.answered ? (s64)me.rtt : result;
}

void net_received(const u8 *frame, u32 bytes) {
    struct ethernet ethernet;
    if (bytes < sizeof ethernet) return;
    memcpy(&ethernet, frame, sizeof ethernet);
    frame += sizeof ethernet;
    bytes -= sizeof ethernet;
    if (be16(ethernet.type) == 0x806 && bytes >= sizeof(struct arp)) {
        arp_received((const struct arp *)frame);
        return;
    }
    struct ip ip;
    if (be16(ethernet.type) != 0x800 || bytes < sizeof ip) return;
    memcpy(&ip, frame, sizeof ip);
    u32 head = (ip.version & 15) * 4U, length = be16(ip.length);
    if (ip.version >> 4 != 4 || head < sizeof ip || length < head || length > bytes || checksum(0, frame, head) != 0) return;
    if (be32(ip.to) != own_address || be16(ip.fragment) & 0x3fff) return; // fragments are not put together
    if (ip.protocol == 1) icmp_received(be32(ip.from), frame + head, length - head);
    if (ip.protocol == 17) udp_received(be32(ip.from), frame + head, length - head);
    if (ip.protocol == 6) tcp_received(be32(ip.from), frame + head, length - head);
}

static const char *read_address(const char *text, u32 *address) {
    *address = 0;
    for (u32 i = 0; i < 4; i++) {
        *address = *address << 8 | ((u32)number(text, &text) & 255);
        if (i < 3 && *text == '.') text++;
    }
    return text;
}

// Without `ip=A.B.C.D/N` on the command line the address follows from the interface's own: 10.x.y.z/8 with its last three bytes.
void net_up(void) {
    char text[40];
    if (!own_address) {
        own_address = 10U << 24 | (u32)(interface.mac[3] << 16 | interface.mac[4] << 8 | interface.mac[5]);
        own_mask = 0xff000000;
        if (command_option("ip", text, sizeof text)) {
            const char *rest = read_address(text, &own_address);
            u32 bits = *rest == '/' ? (u32)number(rest + 1, NULL) : 24;
            own_mask = bits ? ~0U << (32 - MIN(bits, 32)) : 0;
        }
        if (command_option("gateway", text, sizeof text)) read_address(text, &gateway);
        log_only("network: %u.%u.%u.%u\n", own_address >> 24, own_address >> 16 & 255, own_address >> 8 & 255, own_address & 255);
    }
    interface.up = true;
    arp_send(1, own_address, NULL); // announces us: switches learn where we are, also after a migration
}
