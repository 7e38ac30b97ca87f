// Page tables on hardware-like machines: entries are written in place, translations forgotten with invlpg and CR3.
#include "hw.h"

static void load_root(struct aspace *as) {
    __asm__ volatile("mov %0, %%cr3" : : "r"(PHYS(as->root)) : "memory");
}

pte_t mmu_entry(uptr pfn, pte_t flags) {
    return (pte_t)pfn << PAGE_SHIFT | flags;
}

uptr mmu_pfn(pte_t entry) {
    return (uptr)((entry & PTE_FRAME) >> PAGE_SHIFT);
}

// Before the first process there is only the kernel's space.
static struct aspace *current_root(void) {
    struct aspace *as = this_cpu()->space;
    return as ? as : &kernel_space;
}

void mmu_write(pte_t *entry, pte_t value) {
    *(volatile pte_t *)entry = value;
    // PAE keeps the four top-level entries in registers that only a load of CR3 renews (SDM vol. 3, 4.4.1).
    if (LEVELS == 3 && ROUND_DOWN((uptr)entry, PAGE_SIZE) == (uptr)current_root()->root) load_root(current_root());
}

void mmu_write_current(uptr va, pte_t *entry, pte_t value) {
    *(volatile pte_t *)entry = value;
    __asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

void mmu_flush(void) {}

void mmu_flush_tlb(void) {
    load_root(current_root());
}

bool mmu_stale(uptr address) {
    (void)address;
    return false; // the kernel's own mappings never change
}

void mmu_protect_table(void *table) {
    (void)table;
}

int mmu_commit(struct aspace *as) {
    as->live = true;
    return 0;
}

void mmu_retire(struct aspace *as) {
    as->live = false;
}

void mmu_switch(struct aspace *as) {
    load_root(as);
}

bool mmu_kernel_part(struct aspace *as) {
#if LEVELS == 4
    as->root[511] = kernel_space.root[511];
#else
    as->root[3] = kernel_space.root[3];
#endif
    return true;
}

void *mmu_fixmap(u64 address, pte_t flags) {
    extern pte_t fixmap_l1[512];
    static u32 used;
    if (used == 512) panic("no fixmap slot left");
    uptr va = FIXMAP_BASE + used * PAGE_SIZE;
    mmu_write_current(va, &fixmap_l1[used++], (address & PTE_FRAME) | flags | PTE_P | PTE_A | PTE_D);
    return (void *)(va + (uptr)(address & (PAGE_SIZE - 1)));
}
