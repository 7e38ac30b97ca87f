// The network: one interface below, IP, ICMP and TCP above.
#pragma once
#include "kernel.h"

struct interface {
    u8 mac[6];
    bool up;
    /// Sends one Ethernet frame (at most 1514 bytes); copies it. False when it had to be dropped.
    bool (*send)(const void *frame, u32 bytes);
};
extern struct interface interface;

/// The interface has come up: gives it an address and announces it.
void net_up(void);
/// A frame has come in (called with interrupts off; does not sleep).
void net_received(const u8 *frame, u32 bytes);

// ip.c
extern u32 own_address, own_mask, gateway; // host byte order
/// Sends an IP packet whose payload is `bytes` at `data`; false when the next hop's address is not known yet (it has been asked for).
bool ip_send(u32 to, u8 protocol, const void *data, u32 bytes);
u16 checksum(u32 sum, const void *data, u32 bytes);
/// One echo request; ns until its answer, or -EAGAIN after `timeout_ns`, -EINTR. `id` tells apart who asks.
s64 net_ping(u32 to, u16 id, u16 sequence, u64 timeout_ns);

/// Sleeps until some neighbour answers or `deadline` (ns) is there, at most a tenth of a second: for who could not send yet. As sleep_on().
int ip_wait(u64 deadline);

// udp.c
struct udp;
void udp_received(u32 from, const u8 *data, u32 bytes);
/// A socket on `port`, 0 = one that is free. 0 or a negative error.
int udp_open(u16 port, struct udp **out);
/// Sends one datagram; waits up to a second for the neighbour's address. Bytes sent or a negative error.
int udp_send(struct udp *udp, u32 to, u16 port, const void *data, u32 bytes);
/// The next datagram; -EAGAIN after `timeout_ns`. What does not fit into `bytes` is cut off.
int udp_receive(struct udp *udp, u64 timeout_ns, u32 *from, u32 *port, void *data, u32 bytes);
void udp_close(struct udp *udp);

// tcp.c
struct tcp;
void tcp_received(u32 from, const u8 *segment, u32 bytes);
int tcp_listen(u16 port, struct tcp **out);
int tcp_accept(struct tcp *listener, struct tcp **out);
int tcp_connect(u32 to, u16 port, struct tcp **out);
int tcp_read(struct tcp *tcp, u8 *to, uptr bytes);
int tcp_write(struct tcp *tcp, const u8 *from, uptr bytes);
void tcp_close(struct tcp *tcp);

static inline u16 be16(u16 v) { return (u16)(v << 8 | v >> 8); }
static inline u32 be32(u32 v) { return __builtin_bswap32(v); }
