// User entry: the kernel left argc and argv on the stack.
    .text
    .globl _start, system_call, signal_return
#ifdef __x86_64__
_start:
    mov (%rsp), %rdi
    lea 8(%rsp), %rsi
    xor %ebp, %ebp
    and $-16, %rsp
    call user_main
    ud2
system_call: // number, a, b, c, d
    mov %rdi, %rax
    mov %rsi, %rdi
    mov %rdx, %rsi
    mov %rcx, %rdx
    mov %r8, %r10
    int $0x80
    ret
signal_return: // a handler has returned: the saved registers lie above
    mov %rsp, %rdi
    mov $26, %eax // SYS_signal_return
    int $0x80
    ud2
#else
_start:
    mov (%esp), %eax
    lea 4(%esp), %edx
    xor %ebp, %ebp
    push %edx
    push %eax
    call user_main
    ud2
system_call:
    push %ebx
    push %esi
    mov 12(%esp), %eax
    mov 16(%esp), %ebx
    mov 20(%esp), %ecx
    mov 24(%esp), %edx
    mov 28(%esp), %esi
    int $0x80
    pop %esi
    pop %ebx
    ret
signal_return: // as above; the handler's argument lies between
    lea 4(%esp), %ebx
    mov $26, %eax
    int $0x80
    ud2
#endif
    .section .note.GNU-stack, "", @progbits
