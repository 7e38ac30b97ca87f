// The Xen interface as far as this kernel uses it. Numbers and layouts follow Xen's public headers (xen.h, arch-x86/xen.h,
// event_channel.h, sched.h, vcpu.h, memory.h, hvm/params.h, io/console.h, io/xs_wire.h, arch-x86/hvm/start_info.h).
#pragma once
#include "platform.h"

// ---- hypercalls ----
enum {
    XEN_set_trap_table = 0, XEN_mmu_update = 1, XEN_stack_switch = 3, XEN_set_callbacks = 4, XEN_memory_op = 12,
    XEN_update_va_mapping = 14, XEN_xen_version = 17, XEN_console_io = 18, XEN_grant_table_op = 20, XEN_iret = 23, XEN_vcpu_op = 24, XEN_mmuext_op = 26,
    XEN_sched_op = 29, XEN_event_channel_op = 32, XEN_hvm_op = 34,
};
#define DOMID_SELF 0x7ff0U

extern char hypercall_page[4096];

#ifdef __x86_64__
static inline long hypercall5(u32 number, uptr a, uptr b, uptr c, uptr d, uptr e) {
    register uptr r10 __asm__("r10") = d;
    register uptr r8 __asm__("r8") = e;
    long result;
    uptr target = (uptr)hypercall_page + number * 32;
    counters.hypercalls++;
    __asm__ volatile("call *%0" : "=a"(result), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8) : "0"(target) : "memory", "rcx", "r11", "cc");
    return result;
}
#else
static inline long hypercall5(u32 number, uptr a, uptr b, uptr c, uptr d, uptr e) {
    long result;
    uptr target = (uptr)hypercall_page + number * 32;
    counters.hypercalls++;
    __asm__ volatile("call *%%eax" : "=a"(result), "+b"(a), "+c"(b), "+d"(c), "+S"(d), "+D"(e) : "0"(target) : "memory", "cc");
    return result;
}
#endif
static inline long hypercall1(u32 number, uptr a) { return hypercall5(number, a, 0, 0, 0, 0); }
static inline long hypercall2(u32 number, uptr a, uptr b) { return hypercall5(number, a, b, 0, 0, 0); }
static inline long hypercall3(u32 number, uptr a, uptr b, uptr c) { return hypercall5(number, a, b, c, 0, 0); }
static inline long hypercall4(u32 number, uptr a, uptr b, uptr c, uptr d) { return hypercall5(number, a, b, c, d, 0); }

enum { SHUTDOWN_suspend = 2 };
enum { SCHEDOP_yield, SCHEDOP_block, SCHEDOP_shutdown };
enum { EVTCHNOP_bind_ipi = 7, EVTCHNOP_bind_virq = 1, EVTCHNOP_close = 3, EVTCHNOP_send = 4, EVTCHNOP_alloc_unbound = 6 };
enum { VIRQ_TIMER = 0, VIRQ_CONSOLE = 2 };
enum { VCPUOP_initialise = 0, VCPUOP_up = 1, VCPUOP_is_up = 3, VCPUOP_stop_periodic_timer = 7, VCPUOP_set_singleshot_timer = 8, VCPUOP_stop_singleshot_timer = 9 };
enum { XENMEM_decrease_reservation = 1, XENMEM_populate_physmap = 6, XENMEM_add_to_physmap = 7, XENMEM_memory_map = 9, XENMEM_machphys_mapping = 12 };
enum { HVMOP_set_param, HVMOP_get_param };
enum { HVM_PARAM_CALLBACK_IRQ = 0, HVM_PARAM_STORE_PFN = 1, HVM_PARAM_STORE_EVTCHN = 2, HVM_PARAM_CONSOLE_PFN = 17, HVM_PARAM_CONSOLE_EVTCHN = 18 };
enum { CONSOLEIO_write, CONSOLEIO_read };
enum { MMUEXT_PIN_L3 = 2, MMUEXT_PIN_L4 = 3, MMUEXT_UNPIN = 4, MMUEXT_NEW_BASEPTR = 5, MMUEXT_TLB_FLUSH_LOCAL = 6, MMUEXT_INVLPG_LOCAL = 7, MMUEXT_NEW_USER_BASEPTR = 15 };
#define UVMF_INVLPG 2

struct xen_memory_map { u32 entries; void *buffer; };
struct xen_machphys_mapping { uptr start, end, max_mfn; };
struct xen_add_to_physmap { u16 domid, size; u32 space; uptr index, gpfn; };
struct xen_hvm_param { u16 domid, pad; u32 index; u64 value; } __attribute__((aligned(8)));
struct xen_reservation { uptr *extents; uptr count; u32 order, flags; u16 domid; };
struct xen_bind_virq { u32 virq, vcpu, port; };
struct xen_singleshot { u64 timeout_ns; u32 flags; };
struct xen_mmu_update { u64 ptr, value; };
struct xen_mmuext { u32 command; uptr argument1, argument2; };
struct xen_trap_info { u8 vector, flags; u16 cs; uptr address; };
struct xen_version_extra { char extra[16]; };

// ---- shared memory ----
struct xen_time_info { // 32 bytes
    u32 version, pad;
    u64 tsc_timestamp, system_time;
    u32 mul;
    s8 shift;
    u8 flags, pad1[2];
};
struct xen_vcpu_info { // 64 bytes
    u8 upcall_pending, upcall_mask;
    uptr pending_select;
    uptr cr2;
    uptr arch_pad[BITS == 64 ? 1 : 5];
    struct xen_time_info time;
};
struct xen_shared_info {
    struct xen_vcpu_info vcpu[32];
    uptr pending[sizeof(uptr) * 8], mask[sizeof(uptr) * 8];
    u32 wc_version, wc_sec, wc_nsec;
#if BITS == 64
    u32 wc_sec_hi;
#endif
    uptr max_pfn, p2m_frame_list_list, nmi_reason, p2m_cr3, p2m_vaddr, p2m_generation;
#if BITS == 32
    u32 wc_sec_hi;
#endif
};
_Static_assert(sizeof(struct xen_vcpu_info) == 64, "vcpu_info");

struct xen_start_info { // PV
    char magic[32];
    uptr nr_pages, shared_info;
    u32 flags;
    uptr store_mfn;
    u32 store_port;
    uptr console_mfn;
    u32 console_port;
    uptr pt_base, nr_pt_frames, mfn_list, mod_start, mod_len;
    char command_line[1024];
    uptr first_p2m_pfn, nr_p2m_frames;
};
#define SIF_INITDOMAIN 2

struct pvh_start_info { u32 magic, version, flags, module_count; u64 modules, cmdline, rsdp, map; u32 map_entries, reserved; };
struct pvh_module { u64 address, size, cmdline, reserved; };
struct pvh_map_entry { u64 address, size; u32 type, reserved; };
struct pvh_map_entry_packed { u64 address, size; u32 type; } __attribute__((packed)); // as e820 has it

struct xen_console_ring {
    char in[1024], out[2048];
    u32 in_cons, in_prod, out_cons, out_prod;
};
struct xen_store_ring {
    char request[1024], response[1024];
    u32 request_cons, request_prod, response_cons, response_prod;
};

// ---- xen/ ----
extern struct xen_shared_info *shared_info;
extern struct xen_start_info *pv_start_info; // NULL in PVH

static inline struct xen_vcpu_info *this_vcpu(void) { return &shared_info->vcpu[current()->cpu]; }

bool xen_detect(void);                // Xen's CPUID leaves are there
void xen_hypercall_page_init(void);   // PVH: asks for it by MSR
void xen_pvh_init(u8 vector);         // shared info and event delivery
void xen_console_init(void);
void xen_console_write(const char *text, uptr bytes);
void xen_time_init(void);
/// The timer interrupt of a CPU that is about to run.
void xen_timer_init(u32 vcpu);
u64 xen_clock_ns(void);
u64 xen_wall_ns(void);
void xen_timer_arm(u64 deadline);
void xen_read_version(void);           // fills machine.hypervisor
noreturn void xen_power(int how);
void xen_late_init(void);             // xenstore and what listens to it

// xenstore (store.c)
int xen_store(int operation, const char *path, char *value, uptr size);
bool store_init(void);                // false when this domain has no xenstore
void store_connect(void);             // again after a resume: ring and watches
/// `changed` is called by the store's thread, once now and after each change below `path`.
void store_watch(const char *path, void (*changed)(void));
int store_write(const char *path, const char *value);
/// A decimal number at path, or `otherwise`.
u64 store_number(const char *path, u64 otherwise);

// grant.c
bool grants_init(void);
void grants_suspend(void);
void grants_resume(void);
u32 grant_access(u16 domid, void *page, bool readonly); // a reference, 0 when none is left
void grant_end(u32 reference);
u32 event_alloc(u16 remote); // a port that `remote` may bind, 0 when refused
/// The i-th frame of the grant table where the kernel can write it; `mapped` is where it was before a resume, or NULL.
void *platform_grant_frame(u32 i, u32 count, void *mapped);
void platform_grant_unmap(void *mapped);

// bus.c
enum { BUS_initialising = 1, BUS_init_wait, BUS_initialised, BUS_connected, BUS_closing, BUS_closed };
struct front_end;
struct driver {
    bool (*offer)(struct front_end *front);     // makes the rings and writes where they are
    bool (*connected)(struct front_end *front); // the back end is there
};
struct front_end {
    char path[40], backend[96];
    u32 number;
    u16 remote;
    u32 generation; // counts resumes
    const struct driver *driver;
    void *device;
    struct front_end *next;
};
extern const struct driver block_driver, network_driver;
int bus_read(const struct front_end *front, const char *key, char *value, uptr size);
void bus_write(const struct front_end *front, const char *key, const char *value);
void bus_write_number(const struct front_end *front, const char *key, u32 value);
u64 bus_backend_number(const struct front_end *front, const char *key, u64 otherwise);
void bus_init(void);
void bus_resume(void);

/// The balloon takes a page away from the linear map and returns the frame number that Xen wants; and the reverse.
uptr balloon_take(void *page);
void balloon_return(uptr pfn, uptr frame);

// suspend: what each platform does around it
void xen_suspend(void);
/// PV: frame numbers become movable; PVH: nothing. Returns sched_op's result: 0 = this is a new domain, 1 = cancelled.
int platform_suspend(void);
void xen_clock_suspend(void);
/// The clock goes on from where it stopped; then, once events are bound again, the timers that were armed.
void xen_clock_continue(void);
void xen_timers_resume(void);
void events_reset(void);
/// Value of an HVM parameter, 0 when it is not set.
u64 xen_hvm_parameter(u32 index);
/// A page that the toolstack named by frame number (PV: machine frame) where the kernel can reach it.
void *xen_lent_page(uptr frame);

typedef void event_handler(u32 port);
void event_handle(u32 port, event_handler *handler);
/// The port (never 0), or 0 when Xen refuses.
u32 event_bind_virq(u32 virq, u32 vcpu, event_handler *handler);
/// Gives a CPU a port by which others interrupt it (xen_kick).
void event_bind_ipi(u32 vcpu);
void xen_kick(u32 vcpu);
void event_send(u32 port);
void events_dispatch(void);

/// (value << shift) * mul / 2^32.
u64 clock_scale(u64 value, u32 mul, s8 shift);
