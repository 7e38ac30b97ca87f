// Block front end (io/blkif.h): one ring, up to 32 requests of up to 11 pages. After a resume, requests under way are sent again.
#include "xen.h"

struct segment { u32 reference; u8 first, last; };
struct block_request { u8 operation, segments; u16 handle; u64 id, sector; struct segment segment[11]; };
struct block_response { u64 id; u8 operation; s16 status; };
#define RING 32
struct block_ring {
    u32 request_prod, request_event, response_prod, response_event;
    u8 pad[48];
    union { struct block_request request; struct block_response response; } entry[RING];
};
_Static_assert(sizeof(struct block_request) == (BITS == 64 ? 112 : 108), "blkif_request");
_Static_assert(__builtin_offsetof(struct block_ring, entry) == 64 && sizeof(struct block_ring) <= 4096, "blkif ring");
enum { BLKIF_READ = 0, BLKIF_WRITE = 1, BLKIF_FLUSH = 3 };

struct pending { bool used, done; s16 status; struct block_request request; };
struct block_device {
    struct disk disk; // first: a disk is the device
    struct front_end *front;
    struct block_ring *ring;
    u32 port, reference, taken; // taken: responses read
    u32 sector_size;
    bool connected, registered;
    struct pending pending[RING];
};

static struct block_device *devices[16]; // by event port order of creation
static u32 device_count;

static void response_event(u32 port) {
    for (u32 i = 0; i < device_count; i++) {
        struct block_device *device = devices[i];
        if (device->port != port || !device->ring) continue;
        do {
            u32 prod = __atomic_load_n(&device->ring->response_prod, __ATOMIC_ACQUIRE);
            for (; device->taken != prod; device->taken++) {
                const struct block_response *response = &device->ring->entry[device->taken % RING].response;
                if (response->id >= RING || !device->pending[response->id].used) continue; // not ours
                struct pending *pending = &device->pending[response->id];
                pending->status = response->status;
                pending->done = true;
                wakeup(pending);
            }
            device->ring->response_event = device->taken + 1;
            mb();
        } while (device->ring->response_prod != device->taken);
    }
}

static void push(struct block_device *device, const struct block_request *request) {
    struct block_ring *ring = device->ring;
    u32 prod = ring->request_prod;
    ring->entry[prod % RING].request = *request;
    __atomic_store_n(&ring->request_prod, prod + 1, __ATOMIC_RELEASE);
    mb();
    if (prod + 1 - ring->request_event < 1) event_send(device->port);
}

static int transfer(struct disk *disk, bool write, u64 sector, void **buffers, u32 count) {
    struct block_device *device = (struct block_device *)disk;
    struct pending *pending;
    for (;;) {
        if (device->connected) {
            pending = device->pending;
            while (pending < device->pending + RING && pending->used) pending++;
            if (pending < device->pending + RING) break;
        }
        if (sleep_on(device, 0) == -EINTR) return -EINTR;
    }
    *pending = (struct pending){.used = true};
    struct block_request *request = &pending->request;
    request->operation = write ? BLKIF_WRITE : BLKIF_READ;
    request->segments = (u8)count;
    request->handle = (u16)device->front->number;
    request->id = (u64)(pending - device->pending);
    request->sector = sector;
    int error = 0;
    u32 granted = 0;
    for (; granted < count; granted++) {
        u32 reference = grant_access(device->front->remote, buffers[granted], write);
        if (!reference) {
            error = -ENOMEM;
            break;
        }
        request->segment[granted] = (struct segment){reference, 0, 7};
    }
    if (!error) {
        push(device, request);
        // The back end uses the pages until it answers: even a killed process waits for that.
        while (!pending->done) sleep_always(pending);
        if (pending->status) error = -EIO;
    }
    for (u32 i = 0; i < granted; i++) grant_end(request->segment[i].reference);
    pending->used = false;
    wakeup(device);
    return error;
}

static bool offer(struct front_end *front) {
    struct block_device *device = front->device;
    if (!device) {
        if (device_count == COUNT(devices)) return false;
        device = page_alloc(2);
        if (!device) return false;
        memset(device, 0, sizeof *device);
        device->front = front;
        device->disk.transfer = transfer;
        front->device = device;
        devices[device_count++] = device;
    }
    if (!device->ring && !(device->ring = page_alloc(0))) return false;
    device->connected = false;
    memset(device->ring, 0, PAGE_SIZE);
    device->ring->request_event = device->ring->response_event = 1;
    device->taken = 0;
    if (device->reference) grant_end(device->reference);
    device->reference = grant_access(front->remote, device->ring, false);
    device->port = event_alloc(front->remote);
    if (!device->reference || !device->port) return false;
    event_handle(device->port, response_event);
    bus_write_number(front, "ring-ref", device->reference);
    bus_write_number(front, "event-channel", device->port);
    bus_write(front, "protocol", BITS == 64 ? "x86_64-abi" : "x86_32-abi");
    return true;
}

static bool connected(struct front_end *front) {
    struct block_device *device = front->device;
    device->sector_size = (u32)bus_backend_number(front, "sector-size", 512);
    if (device->sector_size != 512) {
        printk("vbd %u: sectors of %u bytes are not supported\n", front->number, device->sector_size);
        return false;
    }
    device->disk.sectors = bus_backend_number(front, "sectors", 0);
    device->disk.read_only = bus_backend_number(front, "info", 0) & 4;
    if (!device->registered) {
        // xvda is major 202, 16 minors a disk; extended numbers have bit 28 set and 256 minors.
        u32 number = front->number, disk = number >> 28 ? (number & 0xfffffff) >> 8 : (number & 0xff) >> 4, part = number >> 28 ? number & 0xff : number & 15;
        format(device->disk.name, sizeof device->disk.name, part ? "/dev/xvd%c%u" : "/dev/xvd%c", 'a' + (int)(disk % 26), part);
        disk_add(&device->disk);
        device->registered = true;
        log_only("%s: %llu KiB%s\n", device->disk.name, device->disk.sectors / 2, device->disk.read_only ? ", read-only" : "");
    }
    device->connected = true;
    for (u32 i = 0; i < RING; i++) {
        struct pending *pending = &device->pending[i];
        if (!pending->used || pending->done) continue;
        push(device, &pending->request); // from before a resume; the grants are still in the table's memory
    }
    wakeup(device);
    return true;
}

const struct driver block_driver = {offer, connected};
