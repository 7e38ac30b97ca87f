// Network front end (io/netif.h): frames are copied by the back end into and out of granted pages; no offloads.
#include "net.h"
#include "xen.h"

struct tx_request { u32 reference; u16 offset, flags, id, size; };
struct tx_response { u16 id; s16 status; };
struct rx_request { u16 id, pad; u32 reference; };
struct rx_response { u16 id, offset, flags; s16 status; };
#define RING 256
struct ring_head { u32 request_prod, request_event, response_prod, response_event; u8 pad[48]; };
struct tx_ring { struct ring_head head; union { struct tx_request request; struct tx_response response; } entry[RING]; };
struct rx_ring { struct ring_head head; union { struct rx_request request; struct rx_response response; } entry[RING]; };
_Static_assert(sizeof(struct tx_request) == 12 && sizeof(struct rx_request) == 8 && sizeof(struct rx_response) == 8, "netif entries");
_Static_assert(sizeof(struct tx_ring) <= 4096 && sizeof(struct rx_ring) <= 4096, "netif rings");

#define BUFFERS 64 // pages each way
struct buffer { void *page; u32 reference; bool used; };
static struct buffer tx_buffer[BUFFERS], rx_buffer[BUFFERS];
static struct tx_ring *tx;
static struct rx_ring *rx;
static u32 tx_reference, rx_reference, tx_taken, rx_taken, port;
static struct front_end *owner; // the one interface that is used

static void notify(struct ring_head *head, u32 old) {
    mb();
    if (head->request_prod - head->request_event < head->request_prod - old) event_send(port);
}

static void tx_done(void) {
    u32 prod = __atomic_load_n(&tx->head.response_prod, __ATOMIC_ACQUIRE);
    for (; tx_taken != prod; tx_taken++) {
        u16 id = tx->entry[tx_taken % RING].response.id;
        if (id < BUFFERS) tx_buffer[id].used = false;
    }
    tx->head.response_event = tx_taken + BUFFERS / 2; // asked for only when buffers run short
}

static bool net_send(const void *frame, u32 bytes) {
    if (!tx) return false;
    tx_done();
    u32 id = 0;
    while (id < BUFFERS && tx_buffer[id].used) id++;
    if (id == BUFFERS) return false;
    tx_buffer[id].used = true;
    memcpy(tx_buffer[id].page, frame, bytes);
    u32 prod = tx->head.request_prod;
    tx->entry[prod % RING].request = (struct tx_request){tx_buffer[id].reference, 0, 0, (u16)id, (u16)bytes};
    __atomic_store_n(&tx->head.request_prod, prod + 1, __ATOMIC_RELEASE);
    notify(&tx->head, prod);
    return true;
}

static void rx_post(u32 id) {
    u32 prod = rx->head.request_prod;
    rx->entry[prod % RING].request = (struct rx_request){(u16)id, 0, rx_buffer[id].reference};
    __atomic_store_n(&rx->head.request_prod, prod + 1, __ATOMIC_RELEASE);
}

static void net_event(u32 event_port) {
    if (event_port != port) return;
    tx_done();
    u32 old = rx->head.request_prod;
    do {
        u32 prod = __atomic_load_n(&rx->head.response_prod, __ATOMIC_ACQUIRE);
        for (; rx_taken != prod; rx_taken++) {
            struct rx_response response = rx->entry[rx_taken % RING].response;
            if (response.id >= BUFFERS) continue;
            if (response.status > 0 && response.offset + response.status <= (int)PAGE_SIZE) net_received((u8 *)rx_buffer[response.id].page + response.offset, (u32)response.status);
            rx_post(response.id);
        }
        rx->head.response_event = rx_taken + 1;
        mb();
    } while (rx->head.response_prod != rx_taken);
    notify(&rx->head, old);
}

static bool offer(struct front_end *front) {
    if (owner && owner != front) return false; // one interface
    owner = front;
    char text[24];
    if (bus_read(front, "mac", text, sizeof text) != 17) return false;
    for (u32 i = 0; i < 6; i++) {
        char hex[5] = {'0', 'x', text[i * 3], text[i * 3 + 1], 0};
        interface.mac[i] = (u8)number(hex, NULL);
    }
    interface.up = false;
    if (!tx && !(tx = page_alloc(0))) return false;
    if (!rx && !(rx = page_alloc(0))) return false;
    memset(tx, 0, PAGE_SIZE);
    memset(rx, 0, PAGE_SIZE);
    tx->head.request_event = tx->head.response_event = rx->head.request_event = rx->head.response_event = 1;
    tx_taken = rx_taken = 0;
    if (!tx_reference) tx_reference = grant_access(front->remote, tx, false);
    if (!rx_reference) rx_reference = grant_access(front->remote, rx, false);
    port = event_alloc(front->remote);
    if (!tx_reference || !rx_reference || !port) return false;
    for (u32 i = 0; i < BUFFERS; i++) {
        struct buffer *both[2] = {&tx_buffer[i], &rx_buffer[i]};
        for (u32 way = 0; way < 2; way++) {
            if (!both[way]->page && !(both[way]->page = page_alloc(0))) return false;
            if (!both[way]->reference && !(both[way]->reference = grant_access(front->remote, both[way]->page, way == 0))) return false;
            both[way]->used = false;
        }
        rx_post(i);
    }
    event_handle(port, net_event);
    bus_write_number(front, "tx-ring-ref", tx_reference);
    bus_write_number(front, "rx-ring-ref", rx_reference);
    bus_write_number(front, "event-channel", port);
    bus_write(front, "request-rx-copy", "1");
    bus_write(front, "feature-rx-notify", "1");
    bus_write(front, "feature-no-csum-offload", "1");
    bus_write(front, "feature-sg", "0");
    return true;
}

static bool connected(struct front_end *front) {
    (void)front;
    interface.send = net_send;
    net_up();
    event_send(port); // buffers for frames have been waiting in the ring
    return true;
}

const struct driver network_driver = {offer, connected};
