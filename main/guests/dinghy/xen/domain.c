// What every Xen domain does the same way: version, power, the pages that the toolstack lends.
#include "xen.h"

void xen_power(int how) {
    u32 reason = (u32)how;
    hypercall2(XEN_sched_op, SCHEDOP_shutdown, (uptr)&reason);
    for (;;) hypercall2(XEN_sched_op, SCHEDOP_block, 0);
}

void xen_read_version(void) {
    struct xen_version_extra extra = {""};
    long version = hypercall2(XEN_xen_version, 0, 0);
    hypercall2(XEN_xen_version, 1, (uptr)&extra);
    extra.extra[15] = 0;
    machine.hypervisor_major = (u32)version >> 16;
    machine.hypervisor_minor = (u32)version & 0xffff;
    format(machine.hypervisor, sizeof machine.hypervisor, "Xen %u.%u%s", machine.hypervisor_major, machine.hypervisor_minor, extra.extra);
}
