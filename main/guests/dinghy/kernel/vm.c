// Address spaces: page tables, regions, copy on write. The same code for 3-level (PAE) and 4-level tables and for all
// machines: it writes entries through mmu_write() and never assumes that a live table may be written directly.
#include "platform.h"

struct aspace kernel_space;

static u32 index_at(uptr va, u32 level) {
#if LEVELS == 4
    return (va >> (PAGE_SHIFT + 9 * (level - 1))) & 511;
#else
    return (va >> (PAGE_SHIFT + 9 * (level - 1))) & (level == 3 ? 3 : 511);
#endif
}

pte_t *aspace_table(struct aspace *as) {
    pte_t *table = page_alloc(0);
    if (!table) return NULL;
    memset(table, 0, PAGE_SIZE);
    uptr pfn = PFN_OF(table);
    pages[pfn].next = as->table_list;
    as->table_list = (u32)pfn;
    as->tables++;
    return table;
}

// PAE's top level knows only "present"; elsewhere upper entries allow everything and the lowest decides.
static pte_t table_flags(u32 level) {
    return LEVELS == 3 && level == 3 ? PTE_P : PTE_P | PTE_W | PTE_U | PTE_A | PTE_D;
}

// The entry of the lowest level for va. Without `create`, NULL when a table is missing; with it, NULL when memory is short.
static pte_t *walk(struct aspace *as, uptr va, bool create) {
    pte_t *table = as->root;
    for (u32 level = LEVELS; level > 1; level--) {
        pte_t *entry = &table[index_at(va, level)];
        if (!(*entry & PTE_P)) {
            if (!create) return NULL;
            pte_t *fresh = aspace_table(as);
            if (!fresh) return NULL;
            if (as->live) mmu_protect_table(fresh);
            pte_t value = mmu_entry(PFN_OF(fresh), table_flags(level));
            mmu_write(entry, value);
            if (level == LEVELS && as->user_root != as->root) mmu_write(&as->user_root[index_at(va, level)], value);
            mmu_flush();
            table = fresh;
        } else {
            table = PAGE_OF(mmu_pfn(*entry));
        }
    }
    return &table[index_at(va, 1)];
}

struct aspace *aspace_create(void) {
    struct aspace *as = alloc(sizeof *as);
    if (!as) return NULL;
    as->root = as->user_root = aspace_table(as);
    if (!as->root || !mmu_kernel_part(as)) {
        aspace_destroy(as);
        return NULL;
    }
    return as;
}

int aspace_commit(struct aspace *as) {
    return mmu_commit(as);
}

int aspace_region(struct aspace *as, uptr start, uptr end, u8 kind, bool writable) {
    if (start < USER_BASE || end > USER_END || start >= end) return -EINVAL;
    struct region *slot = NULL;
    for (u32 i = 0; i < REGIONS; i++) {
        struct region *r = &as->regions[i];
        if (r->kind == REGION_FREE) slot = slot ? slot : r;
        else if (start < r->end && r->start < end) return -EINVAL;
    }
    if (!slot) return -ENOMEM;
    *slot = (struct region){start, end, kind, writable};
    return 0;
}

static struct region *region_of(struct aspace *as, uptr va) {
    for (u32 i = 0; i < REGIONS; i++)
        if (as->regions[i].kind && va >= as->regions[i].start && va < as->regions[i].end) return &as->regions[i];
    return NULL;
}

int aspace_map(struct aspace *as, uptr va, uptr pfn, pte_t flags) {
    pte_t *entry = walk(as, va, true);
    if (!entry) {
        page_put(pfn);
        return -ENOMEM;
    }
    pte_t value = mmu_entry(pfn, flags | PTE_P | PTE_U | PTE_A | PTE_D);
    if (as->live && current()->space == as) mmu_write_current(va, entry, value);
    else mmu_write(entry, value), mmu_flush();
    as->resident++;
    return 0;
}

// Calls for every present user entry; the empty parts of the tree are skipped.
typedef int visit(struct aspace *as, uptr va, pte_t *entry, void *context);
static int each_entry(struct aspace *as, uptr start, uptr end, visit *see, void *context) {
    for (uptr va = start; va < end;) {
        pte_t *table = as->root;
        u32 level = LEVELS;
        for (; level > 1; level--) {
            pte_t entry = table[index_at(va, level)];
            if (!(entry & PTE_P)) break;
            table = PAGE_OF(mmu_pfn(entry));
        }
        uptr step = 1UL << (PAGE_SHIFT + 9 * (level - 1));
        if (level == 1) {
            uptr stop = MIN(end, ROUND_DOWN(va, PAGE_SIZE << 9) + (PAGE_SIZE << 9));
            for (; va < stop; va += PAGE_SIZE) {
                pte_t *entry = &table[index_at(va, 1)];
                if (!(*entry & PTE_P)) continue;
                int result = see(as, va, entry, context);
                if (result) return result;
            }
        } else {
            va = ROUND_DOWN(va, step) + step;
        }
    }
    return 0;
}

static int unmap_one(struct aspace *as, uptr va, pte_t *entry, void *context) {
    (void)va, (void)context;
    uptr pfn = mmu_pfn(*entry);
    // A frame must not return to the allocator while a queued write still maps it.
    if (as->live) mmu_write(entry, 0), mmu_flush();
    else *entry = 0;
    page_put(pfn);
    as->resident--;
    return 0;
}

void aspace_unmap(struct aspace *as, uptr start, uptr end) {
    each_entry(as, start, end, unmap_one, NULL);
    mmu_flush_tlb();
}

static int share_one(struct aspace *as, uptr va, pte_t *entry, void *context) {
    struct aspace *child = context;
    pte_t value = *entry;
    if (value & PTE_W) {
        value = (value & ~(pte_t)PTE_W) | PTE_COW;
        mmu_write(entry, value);
    }
    pte_t *copy = walk(child, va, true);
    if (!copy) return -ENOMEM;
    *copy = value; // the child's tables are not live yet
    page_get(mmu_pfn(value));
    child->resident++;
    (void)as;
    return 0;
}

struct aspace *aspace_fork(struct aspace *from) {
    struct aspace *child = aspace_create();
    if (!child) return NULL;
    memcpy(child->regions, from->regions, sizeof child->regions);
    int error = each_entry(from, USER_BASE, USER_END, share_one, child);
    mmu_flush();
    mmu_flush_tlb();
    if (!error) error = aspace_commit(child);
    if (error) {
        aspace_destroy(child);
        return NULL;
    }
    return child;
}

void aspace_destroy(struct aspace *as) {
    if (as->live) mmu_retire(as); // tables are ordinary memory again
    if (as->root) each_entry(as, USER_BASE, USER_END, unmap_one, NULL);
    for (u32 pfn = as->table_list; pfn;) {
        u32 next = pages[pfn].next;
        page_free(PAGE_OF(pfn), 0);
        pfn = next;
    }
    release(as, sizeof *as);
}

int aspace_fault(struct aspace *as, uptr va, bool write) {
    struct region *region = region_of(as, va);
    if (!region || (write && !region->writable)) return -EFAULT;
    va = ROUND_DOWN(va, PAGE_SIZE);
    counters.faults++;
    pte_t *entry = walk(as, va, true);
    if (!entry) return -ENOMEM;
    if (!(*entry & PTE_P)) {
        void *page = page_alloc(0);
        if (!page) return -ENOMEM;
        memset(page, 0, PAGE_SIZE);
        return aspace_map(as, va, PFN_OF(page), region->writable ? PTE_W : 0);
    }
    if (!write || (*entry & PTE_W)) return 0; // another fault repaired it, or the translation was stale
    uptr pfn = mmu_pfn(*entry);
    if (pages[pfn].refs == 1) {
        mmu_write_current(va, entry, (*entry | PTE_W) & ~(pte_t)PTE_COW);
        return 0;
    }
    void *copy = page_alloc(0);
    if (!copy) return -ENOMEM;
    memcpy(copy, PAGE_OF(pfn), PAGE_SIZE);
    counters.cow_copies++;
    mmu_write_current(va, entry, mmu_entry(PFN_OF(copy), PTE_P | PTE_W | PTE_U | PTE_A | PTE_D));
    page_put(pfn);
    return 0;
}

int user_range(uptr address, uptr bytes, bool write) {
    struct aspace *as = current()->space;
    if (bytes == 0) return 0;
    if (address < USER_BASE || address + bytes < address || address + bytes > USER_END) return -EFAULT;
    for (uptr va = ROUND_DOWN(address, PAGE_SIZE); va < address + bytes; va += PAGE_SIZE) {
        pte_t *entry = walk(as, va, false);
        if (entry && (*entry & PTE_P) && (!write || (*entry & PTE_W))) continue;
        int error = aspace_fault(as, va, write);
        if (error) return error;
    }
    return 0;
}

int user_string(char *to, uptr address, uptr size) {
    for (uptr i = 0; i < size; i++) {
        if (i == 0 || ((address + i) & (PAGE_SIZE - 1)) == 0) {
            int error = user_range(address + i, 1, false);
            if (error) return error;
        }
        to[i] = *(const char *)(address + i);
        if (!to[i]) return (int)i;
    }
    return -E2BIG;
}
