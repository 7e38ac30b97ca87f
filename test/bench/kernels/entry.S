/* Multiboot header, a flat GDT of our own, and the two trap handlers. */
        .section .multiboot, "a"
        .align 4
        .long 0x1badb002, 0, -0x1badb002

        .text
        .globl _start
_start:
        cli
        lgdt gdtr
        ljmp $8, $1f
1:      mov $16, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov $stack_top, %esp
        push %ebx               /* the boot loader's information */
        call start

        .globl trap_entry
trap_entry:
        incl traps
        iret

        /* maps the page that faulted to itself again */
        .globl fault_entry
fault_entry:
        push %eax
        push %ecx
        mov %cr2, %eax
        mov %eax, %ecx
        shr $12, %ecx
        and $0xfffff000, %eax
        or $3, %eax
        mov %eax, page_table(,%ecx,4)
        pop %ecx
        pop %eax
        add $4, %esp
        iret

        .data
        .align 8
gdt:    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:   .word 23
        .long gdt
        .bss
        .align 16
        .skip 65536
stack_top:
