// Entry on hardware-like machines: 32-bit protected mode, flat segments, paging off. Two ways lead here:
//   PVH (ELF note PHYS32_ENTRY): ebx = physical address of the start info.
//   multiboot 1 (32-bit image only): eax = 0x2badb002, ebx = multiboot information.
// Maps the first GiB at KERNEL_BASE with 2 MiB pages and continues there.
#ifdef __x86_64__
#define KERNEL_BASE 0xffffffff80000000
#else
#define KERNEL_BASE 0xc0000000
#endif
#define LOW(symbol) (symbol - KERNEL_BASE)

    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 1f - 0f, 18 // XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
0:
#ifdef __x86_64__
    .quad LOW(start)
#else
    .long LOW(start)
#endif
1:  .balign 4

    .section .boot, "ax", @progbits
    .code32
#ifndef __x86_64__
    .balign 4
    .long 0x1badb002, 0x2, -(0x1badb002 + 0x2) // multiboot: memory information wanted
#endif
    .globl start
start:
    cli
    cld
    mov %eax, %esi
    xor %ebp, %ebp
enable: // ebp: 0 for the first CPU
    lgdt LOW(boot_gdt_pointer)
    mov %cr4, %eax
    or $0x20, %eax // PAE
    mov %eax, %cr4
    mov $LOW(boot_root), %eax
    mov %eax, %cr3
#ifdef __x86_64__
    mov $0xc0000080, %ecx // EFER
    rdmsr
    or $0x100, %eax // long mode
    wrmsr
#endif
    mov $0x80010013, %eax // PG, WP, ET, MP, PE
    mov %eax, %cr0
    ljmp $0x08, $LOW(1f)
#ifdef __x86_64__
    .code64
1:  mov $2f, %rax
    jmp *%rax
2:  mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    test %ebp, %ebp
    jnz 3f
    mov $boot_stack + 8192, %rsp
    mov %esi, %edi
    mov %ebx, %esi
    call hw_start
3:  mov second_stack, %rsp
    xor %ebp, %ebp
    call second_main
#else
1:  mov $2f, %eax
    jmp *%eax
2:  mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov %eax, %fs
    mov %eax, %gs
    test %ebp, %ebp
    jnz 3f
    mov $boot_stack + 8192, %esp
    push %ebx
    push %esi
    call hw_start
3:  mov second_stack, %esp
    xor %ebp, %ebp
    call second_main
#endif
    ud2

// Further CPUs start in real mode at a page below 1 MiB, to which this is copied (SDM vol. 3, 9.4).
    .code16
    .globl second_start, second_end
second_start:
    cli
    cld
    mov %cs, %ax
    mov %ax, %ds
    lgdtl boot_gdt_pointer_copy - second_start
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    ljmpl $0x18, $LOW(second_protected)
    .balign 4
boot_gdt_pointer_copy:
    .word boot_gdt_end - boot_gdt - 1
    .long LOW(boot_gdt)
second_end:
    .code32
second_protected:
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %ss
    mov %eax, %es
    mov $1, %ebp
    jmp enable

    .data
    .balign 16
boot_gdt:
    .quad 0
#ifdef __x86_64__
    .quad 0x00af9b000000ffff // 0x08 kernel code
#else
    .quad 0x00cf9b000000ffff
#endif
    .quad 0x00cf93000000ffff // 0x10 data
    .quad 0x00cf9b000000ffff // 0x18 32-bit code
boot_gdt_end:
    .globl boot_gdt_pointer
boot_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .long LOW(boot_gdt)

    .balign 8
    .globl second_stack
second_stack:
    .fill 8

    .balign 4096
    .globl boot_root, fixmap_l1
#ifdef __x86_64__
boot_root:
    .quad LOW(boot_l3) + 3
    .fill 510, 8, 0
    .quad LOW(boot_l3) + 3
boot_l3:
    .quad LOW(boot_l2) + 3
    .fill 509, 8, 0
    .quad LOW(boot_l2) + 3
    .quad LOW(fixmap_l2) + 3
fixmap_l2:
    .quad LOW(fixmap_l1) + 3
    .fill 511, 8, 0
boot_l2:
    .set at, 0
    .rept 512
    .quad at * 0x200000 + 0xe3
    .set at, at + 1
    .endr
#else
boot_l2:
    .set at, 0
    .rept 384
    .quad at * 0x200000 + 0xe3
    .set at, at + 1
    .endr
    .long LOW(fixmap_l1) + 3, 0
    .fill 127, 8, 0
    .balign 4096
boot_root:
    .long LOW(boot_l2) + 1, 0, 0, 0, 0, 0, LOW(boot_l2) + 1, 0
#endif
    .section .bss
    .balign 8192
    .globl boot_stack
boot_stack:
    .skip 8192
fixmap_l1:
    .skip 4096
    .section .note.GNU-stack, "", @progbits
