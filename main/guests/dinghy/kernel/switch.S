// Context switch between kernel stacks, and the first entry to user mode. The same on all machines.
    .text
    .globl context_switch, enter_user, fork_return
#ifdef __x86_64__
context_switch:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret
enter_user:
    mov %rdi, %rsp
    call start_init
fork_return:
    call kernel_unlock
    jmp return_from_trap
#else
context_switch:
    mov 4(%esp), %eax
    mov 8(%esp), %edx
    push %ebx
    push %esi
    push %edi
    push %ebp
    mov %esp, (%eax)
    mov %edx, %esp
    pop %ebp
    pop %edi
    pop %esi
    pop %ebx
    ret
enter_user:
    mov 4(%esp), %eax
    mov %eax, %esp
    push %eax
    call start_init
    add $4, %esp
fork_return:
    call kernel_unlock
    jmp return_from_trap
#endif
    .section .note.GNU-stack, "", @progbits
