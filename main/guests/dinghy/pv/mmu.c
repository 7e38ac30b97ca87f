// Page tables of a paravirtual domain. Entries hold machine frames. A table that Xen knows (PG_TABLE) is mapped read-only
// here and changed by hypercalls only; a space's tables are built as ordinary memory and handed to Xen all at once.
#include "pv.h"

uptr *p2m;
const uptr *m2p = (const uptr *)M2P_DEFAULT;
static pte_t *linear_l1[LINEAR_MAX >> 21]; // the lowest tables of the linear map
static pte_t *fixmap_l1;

#define QUEUE 128
static struct xen_mmu_update queue[QUEUE];
static u32 queued;

static u64 machine_address(const void *address) {
    return (u64)p2m[PFN_OF(address)] << PAGE_SHIFT | ((uptr)address & (PAGE_SIZE - 1));
}

pte_t mmu_entry(uptr pfn, pte_t flags) {
    return (pte_t)p2m[pfn] << PAGE_SHIFT | flags;
}

uptr mmu_pfn(pte_t entry) {
    return m2p[(entry & PTE_FRAME) >> PAGE_SHIFT];
}

void mmu_flush(void) {
    if (!queued) return;
    u32 done = 0;
    long error = hypercall4(XEN_mmu_update, (uptr)queue, queued, (uptr)&done, DOMID_SELF);
    if (error < 0) panic("Xen refused page-table update %u of %u: error %d (%llx = %llx)", done, queued, (int)error, queue[done].ptr, queue[done].value);
    queued = 0;
}

static void enqueue(pte_t *entry, pte_t value) {
    queue[queued++] = (struct xen_mmu_update){machine_address(entry), value};
    if (queued == QUEUE) mmu_flush();
}

void mmu_write(pte_t *entry, pte_t value) {
    if (pages[PFN_OF(entry)].flags & PG_TABLE) enqueue(entry, value);
    else *entry = value;
}

static long map_now(uptr va, pte_t value, uptr flush) {
#ifdef __x86_64__
    return hypercall3(XEN_update_va_mapping, va, value, flush);
#else
    return hypercall4(XEN_update_va_mapping, va, (uptr)value, (uptr)(value >> 32), flush);
#endif
}

void mmu_write_current(uptr va, pte_t *entry, pte_t value) {
    (void)entry;
    mmu_flush();
    long error = map_now(va, value, UVMF_INVLPG);
    if (error) panic("Xen refused to map %p: error %d (%llx)", (void *)va, (int)error, value);
}

static void extended(struct xen_mmuext *operations, u32 count) {
    u32 done = 0;
    long error = hypercall4(XEN_mmuext_op, (uptr)operations, count, (uptr)&done, DOMID_SELF);
    if (error) panic("Xen refused page-table operation %u: error %d", operations[0].command, (int)error);
}

void mmu_flush_tlb(void) {
    mmu_flush();
    struct xen_mmuext operation = {MMUEXT_TLB_FLUSH_LOCAL, 0, 0};
    extended(&operation, 1);
}

// Changes how the linear map maps a frame: queued.
static void linear_map(uptr pfn, bool writable) {
    pte_t *entry = &linear_l1[pfn >> 9][pfn & 511];
    enqueue(entry, mmu_entry(pfn, PTE_P | PTE_A | PTE_D | (writable ? PTE_W : 0)));
}

bool mmu_stale(uptr address) {
    uptr pfn = PFN_OF(address);
    return address >= KERNEL_BASE && pfn < end_pfn && linear_l1[pfn >> 9] && (~linear_l1[pfn >> 9][pfn & 511] & (PTE_P | PTE_W)) == 0;
}

void mmu_protect_table(void *table) {
    linear_map(PFN_OF(table), false);
    pages[PFN_OF(table)].flags |= PG_TABLE;
}

int mmu_commit(struct aspace *as) {
    for (u32 pfn = as->table_list; pfn; pfn = pages[pfn].next) mmu_protect_table(PAGE_OF(pfn));
    mmu_flush();
    struct xen_mmuext pin[2] = {
        {LEVELS == 4 ? MMUEXT_PIN_L4 : MMUEXT_PIN_L3, p2m[PFN_OF(as->root)], 0},
        {MMUEXT_PIN_L4, p2m[PFN_OF(as->user_root)], 0},
    };
    extended(pin, LEVELS == 4 ? 2 : 1);
    as->live = true;
    return 0;
}

void mmu_retire(struct aspace *as) {
    mmu_flush();
    struct xen_mmuext unpin[2] = {{MMUEXT_UNPIN, p2m[PFN_OF(as->root)], 0}, {MMUEXT_UNPIN, p2m[PFN_OF(as->user_root)], 0}};
    extended(unpin, LEVELS == 4 ? 2 : 1);
    for (u32 pfn = as->table_list; pfn; pfn = pages[pfn].next) {
        linear_map(pfn, true);
        pages[pfn].flags &= ~PG_TABLE;
    }
    mmu_flush();
    as->live = false;
}

void mmu_switch(struct aspace *as) {
    mmu_flush();
    bool kernel = as == &kernel_space;
    struct xen_mmuext load[2] = {
        {MMUEXT_NEW_BASEPTR, p2m[PFN_OF(as->root)], 0},
        {MMUEXT_NEW_USER_BASEPTR, kernel ? 0 : p2m[PFN_OF(as->user_root)], 0},
    };
    extended(load, LEVELS == 4 ? 2 : 1);
}

bool mmu_kernel_part(struct aspace *as) {
#if LEVELS == 4
    as->root[511] = kernel_space.root[511];
    as->user_root = aspace_table(as);
    return as->user_root != NULL;
#else
    // Xen puts its own entries into this table, so every space needs one of its own.
    pte_t *upper = aspace_table(as);
    if (!upper) return false;
    const pte_t *kernel = PAGE_OF(mmu_pfn(kernel_space.root[3]));
    for (u32 i = 0; i < ((0xf5800000U - 0xc0000000U) >> 21); i++) upper[i] = kernel[i];
    as->root[3] = mmu_entry(PFN_OF(upper), PTE_P);
    return true;
#endif
}

void *mmu_fixmap(u64 address, pte_t flags) {
    static u32 used;
    if (used == 512) panic("no fixmap slot left");
    uptr va = FIXMAP_BASE + used++ * PAGE_SIZE;
    long error = map_now(va, (address & PTE_FRAME) | flags | PTE_P | PTE_A | PTE_D, UVMF_INVLPG);
    if (error) panic("Xen refused to map frame %llx: error %d", address >> PAGE_SHIFT, (int)error);
    return (void *)(va + (uptr)(address & (PAGE_SIZE - 1)));
}

// ---- frames come and go ----

void *platform_grant_frame(u32 i, u32 count, void *mapped) {
    uptr list[8];
    struct { u16 domid; u32 count; s16 status; uptr *frames; } setup = {DOMID_SELF, count, 0, list};
    if (count > COUNT(list) || hypercall3(XEN_grant_table_op, 2, (uptr)&setup, 1) || setup.status) return NULL;
    u64 address = (u64)list[i] << PAGE_SHIFT;
    if (!mapped) return mmu_fixmap(address, PTE_W);
    map_now((uptr)mapped, address | PTE_P | PTE_W | PTE_A | PTE_D, UVMF_INVLPG);
    return mapped;
}

void platform_grant_unmap(void *mapped) {
    map_now((uptr)mapped, 0, UVMF_INVLPG);
}

uptr balloon_take(void *page) {
    uptr pfn = PFN_OF(page), frame = p2m[pfn];
    mmu_flush();
    map_now((uptr)page, 0, UVMF_INVLPG);
    p2m[pfn] = ~0UL;
    return frame;
}

void balloon_return(uptr pfn, uptr frame) {
    p2m[pfn] = frame;
    if (map_now((uptr)PAGE_OF(pfn), mmu_entry(pfn, PTE_P | PTE_W | PTE_A | PTE_D), UVMF_INVLPG)) panic("Xen refused to map a page of the balloon");
}

// The toolstack finds the table of frames through lists of its pages' frames (arch_shared_info.pfn_to_mfn_frame_list_list).
static uptr frame_list_list[PAGE_SIZE / sizeof(uptr)] aligned_page;
static uptr frame_lists[4][PAGE_SIZE / sizeof(uptr)] aligned_page;

void pv_publish_p2m(void) {
    uptr per_page = PAGE_SIZE / sizeof(uptr), table_pages = (pv_start_info->nr_pages + per_page - 1) / per_page;
    for (uptr i = 0; i < table_pages && i < COUNT(frame_lists) * per_page; i++) {
        frame_lists[i / per_page][i % per_page] = p2m[PFN_OF(p2m) + i];
        frame_list_list[i / per_page] = p2m[PFN_OF(frame_lists[i / per_page])];
    }
    shared_info->p2m_frame_list_list = p2m[PFN_OF(frame_list_list)];
    shared_info->max_pfn = pv_start_info->nr_pages;
}

static void find_m2p(void) {
    // For 32-bit guests the place of the table depends on the machine's memory.
    struct xen_machphys_mapping mapping;
    if (hypercall2(XEN_memory_op, XENMEM_machphys_mapping, (uptr)&mapping) == 0) m2p = (const uptr *)mapping.start;
}

int platform_suspend(void) {
    struct xen_start_info *info = pv_start_info;
    mmu_flush();
    // Machine frames mean nothing on another machine: the toolstack expects page frames here and writes machine frames back.
    info->store_mfn = m2p[info->store_mfn];
    info->console_mfn = m2p[info->console_mfn];
    map_now((uptr)shared_info, 0, UVMF_INVLPG);
    u32 reason = SHUTDOWN_suspend;
    long result = hypercall3(XEN_sched_op, SCHEDOP_shutdown, (uptr)&reason, p2m[PFN_OF(info)]);
    if (result == 0) {
        find_m2p();
    } else {
        info->store_mfn = p2m[info->store_mfn];
        info->console_mfn = p2m[info->console_mfn];
    }
    map_now((uptr)shared_info, (pte_t)info->shared_info | PTE_P | PTE_W | PTE_A | PTE_D, UVMF_INVLPG);
    pv_publish_p2m();
    return result != 0;
}

// ---- at boot: the linear map covers what the domain builder mapped, and must grow to all memory ----

static void boot_update(pte_t *entry, pte_t value) {
    struct xen_mmu_update update = {machine_address(entry), value};
    u32 done = 0;
    long error = hypercall4(XEN_mmu_update, (uptr)&update, 1, (uptr)&done, DOMID_SELF);
    if (error) xen_power(POWER_CRASH);
}

static uptr next_free; // frames from here on are unused

// An empty page, no longer writable through the linear map, ready to become a table.
static pte_t *boot_table(void) {
    uptr pfn = next_free++;
    pte_t *table = PAGE_OF(pfn);
    memset(table, 0, PAGE_SIZE);
    return table;
}

static void boot_protect(pte_t *table) {
    map_now((uptr)table, mmu_entry(PFN_OF(table), PTE_P | PTE_A | PTE_D), UVMF_INVLPG);
}

#define TABLE_FLAGS (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)

uptr pv_memory_init(void) {
    const struct xen_start_info *info = pv_start_info;
    p2m = (uptr *)info->mfn_list;
    find_m2p();
    pte_t *root = (pte_t *)info->pt_base;
    kernel_space.root = kernel_space.user_root = root;
    kernel_space.live = true;
    uptr end = MIN(info->nr_pages, LINEAR_MAX >> PAGE_SHIFT);
    uptr first_table = PFN_OF(root);
    next_free = first_table + info->nr_pt_frames;

#if LEVELS == 4
    pte_t *l3 = PAGE_OF(mmu_pfn(root[511]));
    pte_t *l2 = PAGE_OF(mmu_pfn(l3[510]));
#else
    pte_t *l2 = PAGE_OF(mmu_pfn(root[3]));
#endif
    uptr tables_from = next_free;
    for (uptr pfn = 0; pfn < end; pfn += 512) {
        u32 slot = (u32)(pfn >> 9);
        if (l2[slot] & PTE_P) {
            linear_l1[slot] = PAGE_OF(mmu_pfn(l2[slot]));
            // The builder's last table may be filled in part only.
            for (uptr i = 0; i < 512 && pfn + i < end; i++)
                if (!(linear_l1[slot][i] & PTE_P)) boot_update(&linear_l1[slot][i], mmu_entry(pfn + i, PTE_P | PTE_W | PTE_A | PTE_D));
            continue;
        }
        pte_t *table = boot_table();
        for (uptr i = 0; i < 512 && pfn + i < end; i++) table[i] = mmu_entry(pfn + i, PTE_P | PTE_W | PTE_A | PTE_D);
        boot_protect(table);
        boot_update(&l2[slot], mmu_entry(PFN_OF(table), TABLE_FLAGS));
        linear_l1[slot] = table;
    }
    fixmap_l1 = boot_table();
    boot_protect(fixmap_l1);
#if LEVELS == 4
    pte_t *fixmap_l2 = boot_table();
    fixmap_l2[0] = mmu_entry(PFN_OF(fixmap_l1), TABLE_FLAGS);
    boot_protect(fixmap_l2);
    boot_update(&l3[511], mmu_entry(PFN_OF(fixmap_l2), TABLE_FLAGS));
#else
    boot_update(&l2[(FIXMAP_BASE - KERNEL_BASE) >> 21], mmu_entry(PFN_OF(fixmap_l1), TABLE_FLAGS));
#endif
    uptr tables_to = next_free;
    uptr first = pages_init(next_free, end);
    for (uptr pfn = first_table; pfn < first_table + info->nr_pt_frames; pfn++) pages[pfn].flags |= PG_TABLE;
    for (uptr pfn = tables_from; pfn < tables_to; pfn++) pages[pfn].flags |= PG_TABLE;
    return first;
}
