// First C code on hardware-like machines: finds memory and the command line from PVH or multiboot information.
#include "hw.h"
#include "xen.h"

u64 rsdp_address;
bool on_xen;

struct range { u64 start, end; };
static struct range ram[16];
static u32 ram_count;
static uptr kernel_end_pa;

static void add_ram(u64 start, u64 bytes) {
    u64 end = start + bytes;
    if (end > LINEAR_MAX) end = LINEAR_MAX;
    start = (start + PAGE_SIZE - 1) & ~(u64)(PAGE_SIZE - 1);
    end &= ~(u64)(PAGE_SIZE - 1);
    if (start < end && ram_count < COUNT(ram)) ram[ram_count++] = (struct range){start, end};
}

static void in_use_until(u64 end) {
    if (end < LINEAR_MAX && end > kernel_end_pa) kernel_end_pa = (uptr)end;
}

static void read_pvh(const struct pvh_start_info *info) {
    if (info->cmdline) strcopy(command_line, VIRT((uptr)info->cmdline), sizeof command_line);
    rsdp_address = info->rsdp;
    const struct pvh_module *module = VIRT((uptr)info->modules);
    for (u32 i = 0; i < info->module_count; i++) in_use_until(module[i].address + module[i].size);
    if (info->version >= 1 && info->map_entries) {
        const struct pvh_map_entry *map = VIRT((uptr)info->map);
        for (u32 i = 0; i < info->map_entries; i++)
            if (map[i].type == 1) add_ram(map[i].address, map[i].size);
    } else {
        // Version 0 has no map: Xen answers XENMEM_memory_map once hypercalls work.
        static struct pvh_map_entry_packed map[32];
        struct xen_memory_map request = {COUNT(map), map};
        if (hypercall2(XEN_memory_op, XENMEM_memory_map, (uptr)&request) == 0)
            for (u32 i = 0; i < request.entries; i++)
                if (map[i].type == 1) add_ram(map[i].address, map[i].size);
    }
}

struct multiboot_info { u32 flags, mem_lower, mem_upper, boot_device, cmdline, modules_count, modules, symbols[4], map_length, map; };

static void read_multiboot(const struct multiboot_info *info) {
    if (info->flags & 4) strcopy(command_line, VIRT(info->cmdline), sizeof command_line);
    if (info->flags & 8) {
        const u32 *module = VIRT(info->modules);
        for (u32 i = 0; i < info->modules_count; i++) in_use_until(module[i * 4 + 1]);
    }
    if (info->flags & 0x40) {
        for (uptr at = info->map; at < info->map + info->map_length;) {
            const u32 *entry = VIRT(at); // size, then base, length (64 bits each) and type
            if (entry[5] == 1) add_ram(entry[1] | (u64)entry[2] << 32, entry[3] | (u64)entry[4] << 32);
            at += entry[0] + 4;
        }
    } else if (info->flags & 1) {
        add_ram(0x1000, (u64)info->mem_lower * 1024 - 0x1000);
        add_ram(MIB, (u64)info->mem_upper * 1024);
    }
}

void cpuid(u32 leaf, u32 subleaf, u32 out[4]) {
    __asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(subleaf));
}

/// `magic` is eax and `info` ebx at entry.
void hw_start(u32 magic, u32 info) {
    extern char kernel_end[];
    extern pte_t boot_root[];
    kernel_end_pa = PHYS(kernel_end);
    on_xen = xen_detect();
    if (on_xen) xen_hypercall_page_init();
    const struct pvh_start_info *pvh = VIRT(info);
    if (magic == 0x2badb002) read_multiboot(VIRT(info));
    else if (pvh->magic == 0x336ec578) read_pvh(pvh);
    kernel_space.root = kernel_space.user_root = boot_root;
    kernel_space.live = true;
    boot_root[0] = 0; // the identity mapping has served
    mmu_flush_tlb();

    uptr end = 0;
    for (u32 i = 0; i < ram_count; i++) end = MAX(end, (uptr)ram[i].end);
    uptr first = ROUND_UP(kernel_end_pa, PAGE_SIZE) >> PAGE_SHIFT;
    first = pages_init(first, end >> PAGE_SHIFT);
    for (u32 i = 0; i < ram_count; i++) {
        // Everything from 1 MiB to the end of the page array is in use.
        uptr from = (uptr)ram[i].start >> PAGE_SHIFT, to = (uptr)ram[i].end >> PAGE_SHIFT;
        if (from < SECOND_START_PAGE) pages_add(from, MIN(to, SECOND_START_PAGE));
        if (from < 256 && to > SECOND_START_PAGE + 1) pages_add(MAX(from, SECOND_START_PAGE + 1), MIN(to, 256));
        if (to > first) pages_add(MAX(from, first), to);
    }
    kernel_main();
}
