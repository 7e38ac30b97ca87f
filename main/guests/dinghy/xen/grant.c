// Grant table, version 1: pages that a back end may use.
#include "xen.h"

struct grant_entry { u16 flags, domid; u32 frame; };
#define GTF_permit_access 1
#define GTF_readonly 4
#define FRAMES 2
#define FIRST 8 // the first references are kept for the toolstack
#define LAST (FRAMES * PAGE_SIZE / sizeof(struct grant_entry))

static struct grant_entry *table[FRAMES];
static u32 free_first;
static u32 next_free[LAST];
static bool ready;

// What is granted, so that the table can be written again after a resume: frames then have other numbers.
static struct grant { void *page; u16 domid; bool readonly; } grants[LAST];

static struct grant_entry *entry_of(u32 reference) {
    u32 per_page = PAGE_SIZE / sizeof(struct grant_entry);
    return &table[reference / per_page][reference % per_page];
}

static void write_entry(u32 reference) {
    const struct grant *grant = &grants[reference];
    struct grant_entry *entry = entry_of(reference);
    entry->frame = (u32)(mmu_entry(PFN_OF(grant->page), 0) >> PAGE_SHIFT);
    entry->domid = grant->domid;
    mb();
    entry->flags = GTF_permit_access | (grant->readonly ? GTF_readonly : 0);
}

bool grants_init(void) {
    bool again = ready;
    for (u32 i = 0; i < FRAMES; i++) {
        table[i] = platform_grant_frame(i, FRAMES, table[i]);
        if (!table[i]) return false;
    }
    if (!ready) {
        for (u32 i = LAST - 1; i >= FIRST; i--) next_free[i] = free_first, free_first = i;
        ready = true;
    }
    for (u32 i = FIRST; again && i < LAST; i++)
        if (grants[i].page) write_entry(i);
    return true;
}

void grants_suspend(void) {
    for (u32 i = 0; ready && i < FRAMES; i++) platform_grant_unmap(table[i]);
}

void grants_resume(void) {
    if (ready && !grants_init()) panic("Xen refused the grant table after a resume");
}

u32 grant_access(u16 domid, void *page, bool readonly) {
    u32 reference = free_first;
    if (!reference) return 0;
    free_first = next_free[reference];
    grants[reference] = (struct grant){page, domid, readonly};
    write_entry(reference);
    return reference;
}

void grant_end(u32 reference) {
    entry_of(reference)->flags = 0;
    mb();
    grants[reference].page = NULL;
    next_free[reference] = free_first;
    free_first = reference;
}

u32 event_alloc(u16 remote) {
    struct { u16 domid, remote; u32 port; } request = {DOMID_SELF, remote, 0};
    return hypercall2(XEN_event_channel_op, EVTCHNOP_alloc_unbound, (uptr)&request) ? 0 : request.port;
}
