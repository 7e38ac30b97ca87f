/* Linux system calls with no library, in 32 bits (INT 80h) and 64 bits (SYSCALL), and a program's start: it calls program(count, words). */
#ifndef LINUX_CALLS_H
#define LINUX_CALLS_H

#ifdef __x86_64__
enum {
    CALL_READ = 0, CALL_WRITE = 1, CALL_MMAP = 9, CALL_MUNMAP = 11, CALL_PIPE = 22, CALL_FORK = 57, CALL_EXIT = 60, CALL_WAIT4 = 61,
    CALL_CLOCK_GETTIME = 228,
};
static inline long call(long number, long a, long b, long c, long d, long e)
{
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    register long r9 asm("r9") = 0;
    long result;
    asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return result;
}
asm(".globl _start\n_start: mov (%rsp), %rdi\n lea 8(%rsp), %rsi\n and $-16, %rsp\n call begin\n");
#else
enum {
    CALL_EXIT = 1, CALL_FORK = 2, CALL_READ = 3, CALL_WRITE = 4, CALL_PIPE = 42, CALL_MUNMAP = 91, CALL_WAIT4 = 114, CALL_MMAP = 192 /* mmap2 */,
    CALL_CLOCK_GETTIME = 265,
};
/* The sixth argument, mmap2's offset, is 0; EBP is the frame's, so it is set around the trap. */
static inline long call(long number, long a, long b, long c, long d, long e)
{
    long result;
    asm volatile("push %%ebp; xor %%ebp, %%ebp; int $0x80; pop %%ebp"
                 : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory");
    return result;
}
asm(".globl _start\n_start: mov (%esp), %eax\n lea 4(%esp), %edx\n and $-16, %esp\n sub $8, %esp\n push %edx\n push %eax\n call begin\n");
#endif

int program(int count, char **words);
__attribute__((noreturn, used)) void begin(int count, char **words)
{
    call(CALL_EXIT, program(count, words), 0, 0, 0, 0);
    __builtin_unreachable();
}
#endif
