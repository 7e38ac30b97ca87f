// Trap entry and return through the CPU's own IDT; context switch.
    .text
    .macro stub vector
    .balign 16
    .if !((\vector == 8) || ((\vector >= 10) && (\vector <= 14)) || (\vector == 17))
    push $0
    .endif
    push $\vector
    jmp common
    .endm

    .balign 16
    .globl trap_stubs
trap_stubs:
    .set vector, 0
    .rept 256
    stub vector
    .set vector, vector + 1
    .endr

#ifdef __x86_64__
common:
    cld
    push %rdi
    push %rsi
    push %rdx
    push %rcx
    push %rax
    push %r8
    push %r9
    push %r10
    push %r11
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, %rdi
    call trap
    .globl return_from_trap
return_from_trap:
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rax
    pop %rcx
    pop %rdx
    pop %rsi
    pop %rdi
    add $16, %rsp
    iretq
#else
common:
    cld
    pusha
    push %es
    push %ds
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    push %esp
    call trap
    add $4, %esp
    .globl return_from_trap
return_from_trap:
    pop %ds
    pop %es
    popa
    add $8, %esp
    iret
#endif
    .section .note.GNU-stack, "", @progbits
