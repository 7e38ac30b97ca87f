// Page frames: a buddy allocator with reference counts, and small objects cut from pages.
// Invariant: a frame is either on exactly one free list (PG_FREE at its block's first page) or in use.
#include "kernel.h"

#define ORDERS 6
struct page *pages;
uptr total_pages, free_pages, end_pfn, ballooned_pages;
static u32 free_lists[ORDERS]; // pfn of the first free block; 0 = none

uptr pages_init(uptr first, uptr end) {
    pages = PAGE_OF(first);
    end_pfn = end;
    uptr bytes = ROUND_UP(end * sizeof(struct page), PAGE_SIZE);
    memset(pages, 0, bytes);
    for (uptr pfn = 0; pfn < end; pfn++) pages[pfn].flags = PG_RESERVED, pages[pfn].refs = 1;
    return first + bytes / PAGE_SIZE;
}

static void list_remove(uptr pfn, u32 order) {
    u32 *link = &free_lists[order];
    while (*link != pfn) link = &pages[*link].next;
    *link = pages[pfn].next;
}

static void free_block(uptr pfn, u32 order) {
    while (order < ORDERS - 1) {
        uptr buddy = pfn ^ (1UL << order);
        if (buddy >= end_pfn || !(pages[buddy].flags & PG_FREE) || pages[buddy].order != order) break;
        list_remove(buddy, order);
        pages[buddy].flags = 0;
        pfn &= ~(1UL << order);
        order++;
    }
    pages[pfn].flags = PG_FREE;
    pages[pfn].order = (u8)order;
    pages[pfn].next = free_lists[order];
    free_lists[order] = (u32)pfn;
}

void pages_add(uptr first, uptr end) {
    if (first == 0) first = 1; // pfn 0 means "none" in lists
    end = MIN(end, end_pfn);
    for (uptr pfn = first; pfn < end; pfn++) {
        if (!(pages[pfn].flags & PG_RESERVED)) continue;
        pages[pfn].flags = 0;
        pages[pfn].refs = 0;
    }
    for (uptr pfn = first; pfn < end;) {
        u32 order = ORDERS - 1;
        while (order && ((pfn & ((1UL << order) - 1)) || pfn + (1UL << order) > end)) order--;
        free_block(pfn, order);
        pfn += 1UL << order;
    }
    total_pages += end > first ? end - first : 0;
    free_pages += end > first ? end - first : 0;
}

void *page_alloc(u32 order) {
    u32 have = order;
    while (have < ORDERS && !free_lists[have]) have++;
    if (have == ORDERS) return NULL;
    uptr pfn = free_lists[have];
    free_lists[have] = pages[pfn].next;
    for (; have > order; have--) {
        uptr half = pfn + (1UL << (have - 1));
        pages[half].flags = PG_FREE;
        pages[half].order = (u8)(have - 1);
        pages[half].next = free_lists[have - 1];
        free_lists[have - 1] = (u32)half;
    }
    for (uptr i = 0; i < 1UL << order; i++) pages[pfn + i].flags = PG_KERNEL, pages[pfn + i].refs = 1;
    free_pages -= 1UL << order;
    return PAGE_OF(pfn);
}

void page_free(void *page, u32 order) {
    uptr pfn = PFN_OF(page);
    for (uptr i = 0; i < 1UL << order; i++) pages[pfn + i].flags = 0, pages[pfn + i].refs = 0;
    free_pages += 1UL << order;
    free_block(pfn, order);
}

void page_get(uptr pfn) {
    pages[pfn].refs++;
}

void page_put(uptr pfn) {
    if (--pages[pfn].refs == 0) page_free(PAGE_OF(pfn), 0);
}

// Small objects: one free list per power of two; pages given to a size stay with it.
static void *small[8]; // 16 .. 2048

static u32 size_class(uptr size) {
    u32 class = 0;
    while ((16UL << class) < size) class++;
    return class;
}

void *alloc(uptr size) {
    u32 class = size_class(size);
    if (class >= COUNT(small)) return NULL;
    if (!small[class]) {
        u8 *page = page_alloc(0);
        if (!page) return NULL;
        for (uptr at = 0; at < PAGE_SIZE; at += 16UL << class) {
            *(void **)(page + at) = small[class];
            small[class] = page + at;
        }
    }
    void *object = small[class];
    small[class] = *(void **)object;
    memset(object, 0, 16UL << class);
    return object;
}

void release(void *object, uptr size) {
    u32 class = size_class(size);
    *(void **)object = small[class];
    small[class] = object;
}
