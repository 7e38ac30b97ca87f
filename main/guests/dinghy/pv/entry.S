// Paravirtual trap entry and return. Xen bounces traps to the kernel with the frame of the CPU; in 64-bit with rcx and r11 on
// top. The way back is the iret hypercall, which also restores the event mask from the saved interrupt flag.
#define IRET hypercall_page + 23 * 32
    .text
    .macro stub vector
    .balign 16
#ifdef __x86_64__
    pop %rcx
    pop %r11
#endif
    .if !((\vector == 8) || ((\vector >= 10) && (\vector <= 14)) || (\vector == 17))
    push $0
    .endif
    push $\vector
    jmp common
    .endm

    .balign 16
    .globl trap_stubs, event_entry, system_call_entry, failsafe_entry
trap_stubs:
    .set vector, 0
    .rept 32
    stub vector
    .set vector, vector + 1
    .endr
system_call_entry:
    stub 0x80
event_entry:
    stub 0x100
failsafe_entry:
    ud2

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
    add $8, %rsp
    movq $0, (%rsp) // iret_context.flags, in the place of the error code
    jmp IRET
#else
common:
    cld
    pusha
    push %es
    push %ds
    mov $0xe021, %eax // kernel data, ring 1
    mov %eax, %ds
    mov %eax, %es
    movw $0, 54(%esp) // the upper half of the saved cs carries Xen's event mask
    push %esp
    call trap
    add $4, %esp
    .globl return_from_trap
return_from_trap:
    pop %ds
    pop %es
    popa
    add $8, %esp
    jmp IRET
#endif
    .section .note.GNU-stack, "", @progbits
