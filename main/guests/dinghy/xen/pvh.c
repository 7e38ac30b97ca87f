// PVH: CPUID leaves, the hypercall page by MSR, shared info and HVM parameters. Only built into the hardware images.
#include "xen.h"

static u32 leaves; // first of Xen's CPUID leaves
struct xen_start_info *pv_start_info;
char hypercall_page[4096] __attribute__((aligned(4096), section(".hypercall")));
static char shared_info_page[4096] aligned_page;

bool xen_detect(void) {
    for (u32 base = 0x40000000; base < 0x40010000; base += 0x100) {
        u32 r[4];
        cpuid(base, 0, r);
        if (memcmp(&r[1], "XenVMMXenVMM", 12) == 0) {
            leaves = base;
            return true;
        }
    }
    return false;
}

void xen_hypercall_page_init(void) {
    u32 r[4];
    cpuid(leaves + 2, 0, r);
    u64 page = PHYS(hypercall_page);
    __asm__ volatile("wrmsr" : : "c"(r[1]), "a"((u32)page), "d"((u32)(page >> 32)) : "memory");
}

u64 xen_hvm_parameter(u32 index) {
    struct xen_hvm_param param = {.domid = DOMID_SELF, .index = index};
    return hypercall2(XEN_hvm_op, HVMOP_get_param, (uptr)&param) ? 0 : param.value;
}

void *xen_lent_page(uptr frame) {
    return mmu_fixmap((u64)frame << PAGE_SHIFT, PTE_W);
}

static u8 event_vector;

static long shared_page_init(void) {
    struct xen_add_to_physmap map = {.domid = DOMID_SELF, .space = 0, .index = 0, .gpfn = PFN_OF(shared_info_page)};
    long error = hypercall2(XEN_memory_op, XENMEM_add_to_physmap, (uptr)&map);
    shared_info = (struct xen_shared_info *)shared_info_page;
    if (error) return error;
    struct xen_hvm_param callback = {.domid = DOMID_SELF, .index = HVM_PARAM_CALLBACK_IRQ, .value = 2ULL << 56 | event_vector};
    return hypercall2(XEN_hvm_op, HVMOP_set_param, (uptr)&callback);
}

void xen_pvh_init(u8 vector) {
    event_vector = vector;
    long error = shared_page_init();
    if (error) panic("Xen refused the shared page or the event vector: error %d", (int)error);
    memset(shared_info->mask, 0xff, sizeof shared_info->mask);
    xen_read_version();
}

int platform_suspend(void) {
    u32 reason = SHUTDOWN_suspend;
    long result = hypercall2(XEN_sched_op, SCHEDOP_shutdown, (uptr)&reason);
    if (result == 0) {
        xen_hypercall_page_init();
        long error = shared_page_init();
        if (error) panic("Xen refused the shared page after a resume: error %d", (int)error);
    }
    return result != 0;
}

static char grant_pages[2][4096] aligned_page;

void *platform_grant_frame(u32 i, u32 count, void *mapped) {
    (void)count, (void)mapped;
    struct xen_add_to_physmap map = {.domid = DOMID_SELF, .space = 1, .index = i, .gpfn = PFN_OF(grant_pages[i])};
    return hypercall2(XEN_memory_op, XENMEM_add_to_physmap, (uptr)&map) ? NULL : grant_pages[i];
}

void platform_grant_unmap(void *mapped) {
    (void)mapped;
}

uptr balloon_take(void *page) {
    return PFN_OF(page);
}

void balloon_return(uptr pfn, uptr frame) {
    (void)pfn, (void)frame;
}
