// Why run() hands control to its caller, as numbers in F.exit, and what F.exitInfo0..3 hold for each.
// Invariant: for every exit taken before an instruction, F.rip is that instruction and exitInfo3 its length in bytes.

export const ExitCode = {
  None: 0,
  /** The instruction budget is used up. */
  Budget: 1,
  /** HLT retired (exitInfo0 = 0) or, with Intercept.Hlt, is about to (exitInfo0 = 1). */
  Halt: 2,
  /** An intercepted exception. exitInfo0 = vector, 1 = error code, 2 = 1 if it has one. F.cr2 is set for #PF. */
  Exception: 3,
  /** SYSCALL (exitInfo0 = 0) or SYSENTER (1) with Intercept.Syscall. */
  Syscall: 4,
  /** INT n, INT3 or INTO with Intercept.SoftInt. exitInfo0 = vector. */
  SoftInt: 5,
  /** Port I/O. exitInfo0 = port, 1 = size in bytes, 2 = IoExit bits. */
  Io: 6,
  /** RDMSR or WRMSR. exitInfo0 = MSR number, 1 = 1 for a write; the value is in EDX:EAX. */
  Msr: 7,
  Cpuid: 8,
  /** VMCALL or VMMCALL. exitInfo0 = 1 for VMMCALL. */
  Hypercall: 9,
  /** Access to a control register. exitInfo0 = register, 1 = CrExit kind, 2 = general register number or LMSW's source. */
  ControlRegister: 10,
  /** Access to a debug register. exitInfo0 = register, 1 = 1 for a write, 2 = general register number. */
  DebugRegister: 11,
  /** INVLPG. exitInfo0 and 1 = low and high half of the linear address. */
  Invlpg: 12,
  /** RDTSC (exitInfo0 = 0) or RDTSCP (1). */
  Rdtsc: 13,
  /** No second-level translation. exitInfo0, 1 = guest-physical address; 2 = access (0, 1, 2), bit 8 if a page-table access. */
  NestedFault: 14,
  /** Triple fault. */
  Shutdown: 15,
  /** The guest can take a maskable interrupt. */
  InterruptWindow: 16,
  /** WBINVD (exitInfo0 = 1) or INVD (0). */
  Wbinvd: 17,
  /** LGDT, LIDT, SGDT, SIDT, LLDT, LTR, SLDT, STR (exitInfo0 = DescriptorExit) or a task switch. */
  DescriptorTable: 18,
  Pause: 19,
  /** Someone set F.exitRequest. */
  Requested: 20,
  /** A debugger's breakpoint is on the next instruction (CpuCore.setBreakpoints). */
  Breakpoint: 21,
} as const;

/** Bits of exitInfo2 of ExitCode.Io. Without String, data is in EAX. */
export const IoExit = { In: 1, String: 2, Rep: 4 } as const;

/** exitInfo1 of ExitCode.ControlRegister. */
export const CrExit = { Read: 0, Write: 1, Clts: 2, Lmsw: 3 } as const;

/** exitInfo0 of ExitCode.DescriptorTable. For a task switch, exitInfo1 = TSS selector. */
export const DescriptorExit = {
  Lgdt: 0,
  Lidt: 1,
  Sgdt: 2,
  Sidt: 3,
  Lldt: 4,
  Ltr: 5,
  Sldt: 6,
  Str: 7,
  TaskSwitch: 8,
} as const;
