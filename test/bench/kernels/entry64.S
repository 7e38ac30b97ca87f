/*
 * Multiboot header and the way from 32-bit protected mode to long mode: 4 KiB pages, 128 MiB mapped to itself, SSE on (Intel SDM volume 3,
 * "Initializing IA-32e mode"). The page tables' size is that of the 32-bit image's, so that both walk pages of one size.
 */
        .section .multiboot, "a"
        .align 4
        .long 0x1badb002, 0, -0x1badb002

        .text
        .code32
        .globl _start
_start:
        cli
        mov $stack_top, %esp
        mov %ebx, information
        movl $(directories + 3), level4
        movl $(directory + 3), directories
        mov $directory, %edi
        mov $(tables + 3), %eax
        mov $64, %ecx
1:      mov %eax, (%edi)
        add $8, %edi
        add $4096, %eax
        dec %ecx
        jnz 1b
        mov $tables, %edi
        mov $3, %eax
        mov $(64 * 512), %ecx
2:      mov %eax, (%edi)
        add $8, %edi
        add $4096, %eax
        dec %ecx
        jnz 2b
        mov $level4, %eax
        mov %eax, %cr3
        mov %cr4, %eax
        or $0x620, %eax                 /* PAE, OSFXSR, OSXMMEXCPT */
        mov %eax, %cr4
        mov $0xc0000080, %ecx           /* EFER */
        rdmsr
        or $0x100, %eax                 /* LME */
        wrmsr
        mov %cr0, %eax
        and $~4, %eax                   /* no EM */
        or $0x80010002, %eax            /* PG, WP, MP */
        mov %eax, %cr0
        lgdt gdtr
        ljmp $8, $3f
        .code64
3:      mov $16, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov $stack_top, %rsp
        mov information(%rip), %edi
        call start

        .data
        .align 8
gdt:    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdtr:   .word 23
        .long gdt
        .bss
        .align 4096
level4: .skip 4096
directories: .skip 4096
directory: .skip 4096
tables: .skip 4096 * 64
        .skip 65536
stack_top:
information: .skip 8
