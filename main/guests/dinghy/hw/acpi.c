// Enough ACPI to switch the machine off (FADT's PM1 control port and the \_S5 package of the DSDT: ACPI 6.2, 4.8.3.2, 7.4.2)
// and to find its CPUs (MADT: 5.2.12).
#include "hw.h"

struct header { char signature[4]; u32 length; u8 rest[28]; } __attribute__((packed));

static u16 pm1a_control, pm1b_control;
static u8 sleep_type_a, sleep_type_b;
static bool found;

u8 apic_ids[MAX_CPUS];
u32 apic_count;

// Tables may lie above what the linear map covers.
static const void *at_address(u64 address) {
    if (address < LINEAR_MAX - 0x100000) return VIRT((uptr)address);
    const u8 *table = mmu_fixmap(address, 0);
    for (u32 page = 1; page < 4; page++) mmu_fixmap((address & PTE_FRAME) + page * PAGE_SIZE, 0);
    return table;
}

static void read_madt(const struct header *madt) {
    const u8 *entry = (const u8 *)madt + sizeof *madt + 8, *end = (const u8 *)madt + madt->length;
    for (; entry + 2 <= end && entry[1] >= 2; entry += entry[1])
        if (entry[0] == 0 && (entry[4] & 1) && apic_count < MAX_CPUS) apic_ids[apic_count++] = entry[3]; // a local APIC that is enabled
}

// \_S5 is Name(_S5_, Package(){a, b, ...}): find the name and read the first two small integers of the package.
static void read_dsdt(const struct header *dsdt) {
    const u8 *p = (const u8 *)dsdt, *end = p + dsdt->length - 16;
    for (p += sizeof *dsdt; p < end; p++) {
        if (memcmp(p, "_S5_", 4) || p[4] != 0x12) continue;
        p += 5;
        p += (*p >> 6) + 1; // package length
        p++;                // number of elements
        if (*p == 0x0a) p++;
        sleep_type_a = *p++;
        if (*p == 0x0a) p++;
        sleep_type_b = *p;
        found = true;
        return;
    }
}

static void read_fadt(const u8 *fadt) {
    u32 dsdt, a, b;
    memcpy(&dsdt, fadt + 40, 4);
    memcpy(&a, fadt + 64, 4);
    memcpy(&b, fadt + 68, 4);
    pm1a_control = (u16)a;
    pm1b_control = (u16)b;
    const struct header *table = at_address(dsdt);
    if (table && memcmp(table->signature, "DSDT", 4) == 0) read_dsdt(table);
}

void acpi_init(u64 rsdp) {
    const u8 *root = rsdp ? at_address(rsdp) : NULL;
    for (uptr at = 0xe0000; !root && at < 0x100000; at += 16)
        if (memcmp(VIRT(at), "RSD PTR ", 8) == 0) root = VIRT(at);
    if (!root || memcmp(root, "RSD PTR ", 8)) return;
    u32 address;
    memcpy(&address, root + 16, 4);
    u64 wide = 0;
    if (!address && root[15] >= 2) memcpy(&wide, root + 24, 8);
    const struct header *rsdt = at_address(address ? address : wide);
    if (!rsdt) return;
    u32 width = address ? 4 : 8;
    const u8 *entries = (const u8 *)rsdt + sizeof *rsdt;
    for (u32 i = 0; i < (rsdt->length - sizeof *rsdt) / width; i++) {
        u64 entry = 0;
        memcpy(&entry, entries + i * width, width);
        const struct header *table = at_address(entry);
        if (table && memcmp(table->signature, "FACP", 4) == 0) read_fadt((const u8 *)table);
        if (table && memcmp(table->signature, "APIC", 4) == 0) read_madt(table);
    }
}

bool acpi_power_off(void) {
    if (!found) return false;
    outw(pm1a_control, (u16)(sleep_type_a << 10 | 1 << 13));
    if (pm1b_control) outw(pm1b_control, (u16)(sleep_type_b << 10 | 1 << 13));
    return true;
}
