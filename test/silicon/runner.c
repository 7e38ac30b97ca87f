// Runs single instructions natively and reports what they did.
// Reads `struct item`s from standard input until its end and writes one back for each. Everything goes through signal frames: the handler of
// one trap stores the state it was given as the result of a case and returns with the registers of the next case. The instruction is followed
// by INT3, so that both its end and its faults arrive as signals; the trap number and error code come from the kernel's frame.
// Cases in 32-bit mode run in the same process, with the compatibility-mode code segment.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE_BASE 0x20000000ul // two pages of INT3, the instruction at its middle
#define CODE_AT 0x20001000ul
#define DATA_BASE 0x10000000ul // two pages, nothing mapped after them
#define WINDOW_AT 0x10000f80ul
#define WINDOW 256

struct item {
  uint32_t id;
  uint8_t length, mode, vector, spare; // mode: 32 or 64; vector: out
  uint32_t error, spare2;              // out
  uint8_t code[16];
  uint64_t rip; // out: relative to the instruction
  uint64_t rflags, cr2;
  uint64_t gpr[16];
  uint8_t fx[512];
  uint8_t window[WINDOW];
};

static const int ORDER[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
static struct item current;
static int running;
static uint8_t *code_alias; // the code pages, writable, at another address: what runs cannot change itself
static uint32_t watched = ~0u;
static gregset_t home;
static uint8_t home_fx[512];

static int next_case(void) {
  return fread(&current, sizeof current, 1, stdin) == 1;
}

static void on_signal(int sig, siginfo_t *info, void *context) {
  // alignment checks are the case's, not ours
  __asm__ volatile("pushfq; andq $~0x40000, (%%rsp); popfq" ::: "memory", "cc");
  if (sig == SIGALRM) {
    // a case that lasts from one tick to the next does not end
    uint32_t now = current.id;
    if (!running || watched != now) {
      watched = now;
      return;
    }
  }
  ucontext_t *u = context;
  greg_t *g = u->uc_mcontext.gregs;
  uint8_t *fx = (uint8_t *)u->uc_mcontext.fpregs;
  if (!running) {
    memcpy(home, g, sizeof home);
    memcpy(home_fx, fx, 512);
    running = 1;
  } else {
    current.vector = (uint8_t)g[REG_TRAPNO];
    current.error = (uint32_t)g[REG_ERR];
    if (sig == SIGALRM) current.vector = 0xfe;
    current.cr2 = current.vector == 14 ? (uint64_t)g[REG_CR2] : 0;
    current.rip = (uint64_t)g[REG_RIP] - CODE_AT;
    if (current.mode == 32) current.rip = (uint32_t)current.rip;
    current.rflags = (uint64_t)g[REG_EFL];
    for (int i = 0; i < 16; i++) current.gpr[i] = (uint64_t)g[ORDER[i]];
    memcpy(current.fx, fx, 416);
    memcpy(current.window, (void *)WINDOW_AT, WINDOW);
    (void)info;
    fwrite(&current, sizeof current, 1, stdout);
  }
  if (!next_case()) {
    memcpy(g, home, sizeof home);
    memcpy(fx, home_fx, 416);
    running = 0;
    return;
  }
  memset(code_alias + 0x1000, 0xcc, 16);
  memcpy(code_alias + 0x1000, current.code, current.length);
  memset((void *)DATA_BASE, 0, 8192);
  memcpy((void *)WINDOW_AT, current.window, WINDOW);
  for (int i = 0; i < 16; i++) g[ORDER[i]] = (greg_t)current.gpr[i];
  g[REG_RIP] = CODE_AT;
  g[REG_EFL] = (greg_t)((current.rflags & 0x40cd5) | 0x202);
  uint64_t segments = (uint64_t)g[REG_CSGSFS] & ~0xfffful;
  g[REG_CSGSFS] = (greg_t)(segments | (current.mode == 32 ? 0x23 : 0x33));
  memcpy(fx, current.fx, 416);
  // the XSAVE header behind the legacy area: x87 and SSE state are present
  uint64_t *xstate_bv = (uint64_t *)(fx + 512);
  if (*(uint32_t *)(fx + 464) == 0x46505853) *xstate_bv |= 3;
}

int main(void) {
  int memory = memfd_create("code", 0);
  if (memory < 0 || ftruncate(memory, 8192)) return 1;
  void *code = mmap((void *)CODE_BASE, 8192, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, memory, 0);
  code_alias = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  void *data = mmap((void *)DATA_BASE, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (code != (void *)CODE_BASE || data != (void *)DATA_BASE) return 1;
  memset(code_alias, 0xcc, 8192);
  static char buffer[1 << 20], in[1 << 20];
  setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  setvbuf(stdin, in, _IOFBF, sizeof in);
  stack_t alternate = {.ss_sp = malloc(1 << 18), .ss_size = 1 << 18};
  sigaltstack(&alternate, NULL);
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigfillset(&action.sa_mask);
  const int signals[] = {SIGTRAP, SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGALRM};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, NULL);
  struct itimerval tick = {{0, 300000}, {0, 300000}};
  setitimer(ITIMER_REAL, &tick, NULL);
  // 32-bit code needs data segments, which 64-bit code ignores
  __asm__ volatile("mov %0, %%ds; mov %0, %%es" ::"r"(0x2b));
  // the first trap starts the first case; the last case comes back here
  __asm__ volatile("int3" ::: "memory");
  fflush(stdout);
  return 0;
}
