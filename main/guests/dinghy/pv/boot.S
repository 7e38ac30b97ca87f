// Paravirtual entry: Xen's builder starts us at `start` with paging on, flat segments, and rsi/esi = start_info.
#ifdef __x86_64__
#define KERNEL_BASE 0xffffffff80000000
#define PTR .quad
#define SIZE 8
#else
#define KERNEL_BASE 0xc0000000
#define PTR .long
#define SIZE 4
#endif
    .macro note type
    .balign 4
    .long 4, 2f - 1f, \type
    .asciz "Xen"
1:
    .endm
    .macro note_number type, value
    note \type
    PTR \value
2:  .balign 4
    .endm
    .macro note_text type, value
    note \type
    .asciz "\value"
2:  .balign 4
    .endm

    .section .note.Xen, "a", @note
    note_number 1, start           // ENTRY
    note_number 2, hypercall_page  // HYPERCALL_PAGE
    note_number 3, KERNEL_BASE     // VIRT_BASE
    note_number 4, 0               // PADDR_OFFSET: p_paddr is the pseudo-physical address
    note_text 5, "xen-3.0"         // XEN_VERSION
    note_text 6, "Dinghy"          // GUEST_OS
    note_text 7, "1.0"             // GUEST_VERSION
    note_text 8, "generic"         // LOADER
#ifndef __x86_64__
    note_text 9, "yes"             // PAE_MODE
    note_number 12, 0xf5800000     // HV_START_LOW
#endif
    note_text 10, ""               // FEATURES
    note_number 14, 1              // SUSPEND_CANCEL

    .section .boot, "ax", @progbits
    .globl start
start:
    cld
#ifdef __x86_64__
    mov $boot_stack + 8192, %rsp
    xor %ebp, %ebp
    mov %rsi, %rdi
    call pv_start
#else
    mov $boot_stack + 8192, %esp
    xor %ebp, %ebp
    push %esi
    call pv_start
#endif
    ud2

    .section .hypercall, "ax", @progbits
    .balign 4096
    .globl hypercall_page
hypercall_page:
    .skip 4096

    .section .bss
    .balign 8192
    .globl boot_stack
boot_stack:
    .skip 8192
    .section .note.GNU-stack, "", @progbits
