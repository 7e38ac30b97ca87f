// Where everything of a simulated host lives in its WebAssembly memory.
// Invariant: this file is the only place that knows an offset; generated code, TypeScript and tests all read it.
//
//   0x0000_0000  never mapped to anything: a zero pointer is a bug that shows
//   STATE        the vCPU that is running now (4 KiB); other vCPUs' states are kept in VCPU_AREA and copied in and out
//   SCRATCH      bounce buffers of page-crossing accesses
//   TABLES       the decoder's tables
//   HEADS, TEMPLATES   what the decoder remembers of instructions it has seen
//   TLB_*        translation look-aside buffers: one for CPL 0-2, one for CPL 3
//   PAGE_FLAGS   one byte per machine frame (code, dirty-log, device ...)
//   PAGE_CODE    one u32 per machine frame: its decoded page, or 0
//   ARENA        decoded pages and operation records
//   RAM_BASE     machine memory, frame 0 first

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const PAGE = 4096;

export const STATE = 0x1000;
export const SCRATCH = 0x2000;
/** A number of the x87 on its way: significand i64, then sign|exponent. */
export const X87_TEMPORARY = 0xff00;
/**
 * Exceptions delivered since an instruction last retired: u32 fuel that was left at the last of them, and their number.
 * A handler whose first instruction faults again would otherwise be entered for ever: see CpuCore.run.
 */
export const Stall = { fuel: 0x2900, count: 0x2904, limit: 16 } as const;
export const VCPU_AREA = 0x1_0000; // 192 states of 2 KiB
/** At least STATE_BYTES. */
export const VCPU_STATE_BYTES = 2048;
export const MAX_VCPUS = 192;
export const TABLES = 0x8_0000; // 1.5 MiB for the decoder's tables
export const TLB_SUPERVISOR = 0x20_0000;
export const TLB_ENTRIES = 4096;
export const TLB_ENTRY_BYTES = 32;
export const TLB_BYTES = TLB_ENTRIES * TLB_ENTRY_BYTES; // 128 KiB
export const TLB_USER = TLB_SUPERVISOR + TLB_BYTES;
export const PAGE_FLAGS = 0x40_0000; // 1 MiB: one byte for each of 2^20 frames
/**
 * u16 for each of 2^20 frames: which TLB entry was made writable for it since CodeCache.dropWritable last looked: 0 none, its number from 1 on,
 * or SEVERAL_WRITERS. The entry may have been given to another frame since.
 */
export const PAGE_WRITER = 0x50_0000;
export const SEVERAL_WRITERS = 0xffff;
export const PAGE_CODE = 0x80_0000; // 4 MiB: one u32 for each of 2^20 frames
/** What the TLBs hold: two lists of entry addresses, so that a flush touches only what was filled. */
export const TLB_LISTS = 0xc0_0000;
export const TlbList = {
  /** u32 number of entries in each list */
  localCount: TLB_LISTS,
  globalCount: TLB_LISTS + 4,
  /** u32: machine frames that exist */
  ramFrames: TLB_LISTS + 8,
  /** u32: translations made (statistics) */
  walks: TLB_LISTS + 12,
  /** u32 each: addresses of entries of non-global and of global pages */
  locals: TLB_LISTS + 64,
  globals: TLB_LISTS + 64 + 4 * 16384,
  capacity: 16384,
} as const;
/**
 * Translated regions: a record whose handler number is FIRST_REGION or more enters the region in that slot of the interpreter's table.
 * u16 for each slot: the handler number the record had.
 */
export const FIRST_REGION = 4096;
export const REGION_SLOTS = 65536;
export const REGION_ORIGINALS = 0xd0_0000;
/** u32 for each slot: WebAssembly address of the page behind a region's own, if it has code there too. */
export const REGION_SECOND = 0xd4_0000;
/**
 * Regions found by the WebAssembly address of their first byte, for those that go from one to another (translator/chain.ts): u32 that address
 * (0: none), u32 ModeKey, u32 first record, u32 slot. What is not here may exist all the same.
 */
export const REGION_TARGETS = 0xd8_0000;
export const RegionTarget = { entries: 4096, bytes: 16, address: 0, key: 4, record: 8, slot: 12 } as const;
/**
 * u8 for each record, by its address: how often a region left it to the interpreter for another reason than fuel, modulo 256. Several records share
 * one (translator/careful-places.ts).
 */
export const REGION_LEFT = 0xda_0000;
export const RegionLeft = { entries: 8192 } as const;
/**
 * Records that look-ups found last, by linear address modulo their number (traces.ts): u32 WebAssembly address of the first byte, u32 ModeKey, u32
 * CODE_GENERATION when it was found, u32 record. What says otherwise now is no longer meant, and a record without a handler is dead.
 */
export const FOUND = 0xdb_0000;
export const Found = { entries: 4096, bytes: 16, place: 0, generation: 8, record: 12 } as const;
/** u32: changes whenever a decoded page goes as a whole (code-cache.ts). */
export const CODE_GENERATION = 0x290c;
/** u32, shifted to bits 24-31: OP.heat of a new record, less than 256 jumps before the tier hears of it if it is not 0. */
export const HEAT_START = 0x2908;
/**
 * Pages that the translated region which runs now has accessed last, one for each way in which it does (translator/remembered-pages.ts):
 * linear address (i64, or u32 in 32-bit code) or TLB_INVALID, and what makes it a WebAssembly address (u32).
 */
export const LastPage = { first: 0x2a00, bytes: 16, tag: 0, addend: 8 } as const;
/**
 * Calls of translated code that wait for the guest function to return (translator/region-frame.ts): u32 how many, and for each, outermost first, the
 * u64 address it has to return to.
 */
export const CALL_DEPTH = 0x2a80;
export const CALL_RETURNS = 0x2a88;
/** u32: not 0 if the last run ended with its budget: where it goes on has not been jumped to. */
export const BUDGET_ENDED = 0x2930;
/**
 * Second-level translations (F.nested) that have been asked for since the last full flush, by guest page modulo their number: u32 tag of the
 * page if it may be read, u32 tag if it may be written, i32 machine frame. A tag is the page | the generation; a full flush begins a new one.
 */
export const NESTED_TLB = 0x30_0000;
export const NESTED = { entries: 65536, entryBytes: 16, read: 0, write: 4, frame: 8 } as const;
/** u32: generation << 20, never 0. */
export const NESTED_GENERATION = 0x2910;
/**
 * Cycles that instructions have waited since generated code was entered (CpuCore.wait): u32 of them in all, and of those that came out of F.fuel.
 */
export const Waited = { cycles: 0x2934, taken: 0x2938 } as const;
/** Cycles that PAUSE waits: as on Skylake (Intel's optimization manual, 2.5.4), so that a guest which spins costs little. */
export const PAUSE_CYCLES = 140;
/**
 * The host's clock while generated code runs. `cycles` (i64, whole numbers below 2^53): the cycle at which F.fuel will be 0 if time goes on with
 * every instruction, so that now is that less F.fuel. `counted` (u32): 1 if time does so; else only CpuCore.cycles knows.
 */
export const Clock = { counted: 0x2914, cycles: 0x2918 } as const;
/** A copy of a record that enters a region, to be executed by the interpreter instead, and a record that looks up what follows. */
export const ALONE = 0x2940;
/** What the decoder found out about the instruction it decoded last, for decode-templates.ts: one byte each. */
export const SHAPE = {
  at: 0x2920,
  /** Bytes of prefixes, opcode and ModRM; 0 = the rest of this means nothing. */
  head: 0x2920,
  /** 1 if a SIB byte follows the head. */
  sib: 0x2921,
  /** Where the displacement is and its bytes; 0 bytes = there is none. */
  dispAt: 0x2922,
  dispBytes: 0x2923,
  /** The same for the immediate, and whether it is sign-extended (1), zero-extended (0) or made in another way (2). */
  immAt: 0x2924,
  immBytes: 0x2925,
  immSigned: 0x2926,
  /** 1: the immediate counts from the instruction's end; 2: the displacement does. */
  fromEnd: 0x2927,
} as const;
/** How many bytes of an instruction's beginning decide everything but displacement and immediate: 8 KiB for each mode. */
export const HEADS = 0x24_0000;
/** Records of instructions with the same head, ready to be completed (decode-templates.ts): 4,096 of 64 bytes. */
export const TEMPLATES = 0x28_0000;
/** u16 for each pair of first bytes, 128 KiB for each mode: number of the template that an instruction with them had last, 0 = none. */
export const TEMPLATE_HINTS = 0x2c_0000;
export const ARENA = 0x100_0000; // 16 MiB .. 256 MiB
export const RAM_BASE = 0x1000_0000; // 256 MiB
export const ARENA_END = RAM_BASE;
/** The arena is used, and used again, in pieces of this many bytes (code-cache.ts). */
export const ARENA_SEGMENT = 2 * MiB;
/** Most machine memory one host can have, in bytes: what 32-bit WebAssembly leaves above RAM_BASE. */
export const MAX_RAM = 0x1_0000_0000 - RAM_BASE;

/** TLB entry, byte offsets. A tag is the linear page address as i64, or TLB_INVALID. */
export const TLB_TAG_READ = 0;
export const TLB_TAG_WRITE = 8;
export const TLB_TAG_EXEC = 16;
/** i32: add to the low half of the linear address to get the WebAssembly address. */
export const TLB_ADDEND = 24;
/** u32: bit 0 = global page; TLB_FLAG_CODE. */
export const TLB_FLAGS = 28;
/** The page may be written, but its frame had decoded code when the entry was made (cpu/code-writes.ts). */
export const TLB_FLAG_CODE = 2;
/** No page address; nor one with the lowest bits of an address left in, as translated code compares to see whether an access is aligned. */
export const TLB_INVALID = 0x801;

/** Bits of PAGE_FLAGS. A frame with any of WRITE_SLOW set is never in a TLB as writable. */
export const PageFlag = {
  /** Holds decoded operations: writes must invalidate them. */
  Code: 1,
  /** Dirty logging is on for this frame and it has not been written since the log was last read. */
  LogDirty: 2,
  /** Not RAM: reads and writes go to the bus (MMIO) or are ignored (ROM writes, holes). Never in any TLB. */
  Device: 4,
  /** Writes are reported to the owner (`onProtectedWrite`) instead of happening. */
  WriteIntercept: 8,
  /** Has been written since the dirty bitmap was last cleared (set by the slow path when LogDirty was on). */
  Dirty: 16,
} as const;
export const PAGE_WRITE_SLOW = PageFlag.Code | PageFlag.LogDirty | PageFlag.Device | PageFlag.WriteIntercept;

// ---- vCPU state: byte offsets from STATE. Registers are 8-byte slots so that an operation can name one with a byte.

/** General registers in encoding order (RAX RCX RDX RBX RSP RBP RSI RDI R8..R15), 8 bytes each. */
export const GPR = 0;
/** A slot that always holds 0: the absent base or index register. */
export const SLOT_ZERO = 16 * 8;
/** Linear address of the page that is executing (i64): base register of RIP-relative operands. */
export const SLOT_PAGE_BASE = 17 * 8;

const s = (base: number) => base;
/** Offsets of the remaining fields. i64 unless said otherwise. */
export const F = {
  /** Instruction pointer (RIP/EIP/IP, relative to CS base). Valid whenever generated code is not running. */
  rip: s(144),
  // Lazy arithmetic flags; see cpu/flags.ts
  ccR: s(152),
  ccA: s(160),
  ccB: s(168),
  /** i32: kind, see FlagKind. */
  ccOp: s(176),
  /** i32: EFLAGS without the six arithmetic flags (those live in cc*): TF IF DF IOPL NT RF VM AC VIF VIP ID, bit 1 set. */
  eflags: s(180),
  /** i32: instructions left in this run; counts down. Generated code keeps it in a local and spills it before calls. */
  fuel: s(184),
  /** i32: current privilege level. */
  cpl: s(188),
  /** i32: TLB_SUPERVISOR or TLB_USER, by cpl. */
  tlb: s(192),
  /** i32: ModeKey of the running code (see cpu/mode.ts): decoded pages belong to one key. */
  mode: s(196),
  /** i32: exit code of the last run. */
  exit: s(200),
  /** i32: pending fault's vector, or -1. */
  faultVector: s(204),
  /** i32: its error code. */
  faultError: s(208),
  /** i32: 1 if the fault carries an error code. */
  faultHasError: s(212),
  /** i32: interrupts are held off until the next instruction has retired: see Shadow. */
  shadow: s(216),
  /** i32: machine frame now executing (index), for code invalidation. */
  codeFrame: s(220),
  /** i32: WebAssembly address a page-crossing or device write must be flushed from, 0 if none. */
  bounceLen: s(224),
  /** i64 */
  bounceLinear: s(232),
  // Segment registers: selector (u32 each) ES CS SS DS FS GS, then LDTR, TR
  selector: s(240), // 8 x 4 = 32
  /** u32 each: attributes in descriptor form bits 8..23 of the high word (type, S, DPL, P, AVL, L, D/B, G) >> 8, plus bit 16 = unusable (null). */
  segAttr: s(272), // 8 x 4
  /** u32 each: expanded limit in bytes, inclusive. */
  segLimit: s(304), // 8 x 4
  /** i64 each: base. */
  segBase: s(336), // 8 x 8
  gdtBase: s(400),
  idtBase: s(408),
  /** u32 */
  gdtLimit: s(416),
  /** u32 */
  idtLimit: s(420),
  /** u32 */
  cr0: s(424),
  /** u32 */
  cr4: s(428),
  cr2: s(432),
  cr3: s(440),
  /** u32 */
  cr8: s(448),
  /** u32: low half is all that exists (SCE 0, LME 8, LMA 10, NXE 11). */
  efer: s(452),
  dr: s(456), // 8 x 8
  // MSRs that belong to the core
  star: s(520),
  lstar: s(528),
  cstar: s(536),
  sfmask: s(544),
  kernelGsBase: s(552),
  sysenterCs: s(560),
  sysenterEsp: s(568),
  sysenterEip: s(576),
  pat: s(584),
  tscAux: s(592),
  tscOffset: s(600),
  apicBase: s(608),
  miscEnable: s(616),
  // Control of the run loop
  /** u32: bit n set = exception vector n leaves run() with ExitReason.Exception instead of going through the guest's IDT. */
  interceptExceptions: s(624),
  /** u32: see Intercept. */
  intercepts: s(628),
  /** u32: 0 = off, else the second-level table in use (index + 1, see memory/nested.ts). */
  nested: s(632),
  /** u32: lowest limit of the flat data segments (bytes, inclusive); pages beyond are not put into a TLB. 0xffffffff in long mode. */
  flatLimit: s(636),
  /** i64: instructions retired by this vCPU before the current run. */
  retired: s(640),
  /** u32: halted (HLT) */
  halted: s(648),
  /** u32: index of this vCPU. */
  index: s(652),
  /** u32: the fuel this run started with: retired now = retired + fuelStart - fuel */
  fuelStart: s(656),
  /** u32: a pending request to leave generated code at the next instruction boundary. */
  exitRequest: s(660),
  /** u32: port, size, direction of an intercepted I/O, etc. */
  exitInfo0: s(664),
  exitInfo1: s(668),
  exitInfo2: s(672),
  exitInfo3: s(676),
  // x87: 8 physical registers of 16 bytes: significand i64, then sign|exponent u16
  fpr: s(704), // 8 x 16 = 128
  /** u32: TOP (0..7) */
  fpTop: s(832),
  /** u32: status word without TOP */
  fpStatus: s(836),
  /** u32: control word */
  fpControl: s(840),
  /** u32: abridged tag, bit n = physical register n is in use */
  fpTags: s(844),
  /** u32: last opcode, i64 instruction and data pointers, u32 selectors */
  fpOpcode: s(848),
  fpCs: s(852),
  fpDs: s(856),
  fpIp: s(864),
  fpDp: s(872),
  /** u32 */
  mxcsr: s(880),
  // SSE: 16 registers of 16 bytes
  xmm: s(896), // 256 -> 1152
  // Memory type range registers: kept and read back; this machine has one memory type
  mtrrVariable: s(1152), // 8 pairs (base, mask) x 16 = 128
  mtrrFixed: s(1280), // 11 x 8 = 88
  mtrrDefType: s(1368),
  // PDPTEs of PAE paging, as MOV to CR3 latched them (SDM vol. 3, 4.4.1)
  pdpte0: s(1376),
  pdpte1: s(1384),
  pdpte2: s(1392),
  pdpte3: s(1400),
  /** i64: the table's address they were latched from, bit 0 set; anything else: none are latched, walks read memory. */
  pdptesFrom: s(1408),
  /** u32: see Careful; 0 = no access and no instruction needs a look at debug registers or alignment. Derived. */
  careful: s(1416),
  /** u32: bits of DR6 for a #DB that waits for the end of the instruction (and of the shadow of MOV SS). */
  pendingDebug: s(1420),
  /** u32: an NMI is being handled: the next one waits for IRET. */
  nmiBlocked: s(1424),
  /** u32: an NMI has arrived. */
  nmiPending: s(1428),
} as const;
/** Bytes of F that make up one vCPU's state. */
export const STATE_BYTES = 1432;

/** Bits of F.careful: what the everyday paths cannot do. */
export const Careful = {
  /** DR7 watches data: their pages are never in a TLB for the watched kind of access. */
  Data: 1,
  /** DR7 watches instructions: their pages are never in a TLB for execution, the run loop steps through them. */
  Code: 2,
  /** DR7 watches ports. */
  Io: 4,
  /** CR0.AM, EFLAGS.AC and CPL 3: no page is in the user TLB for reading or writing. */
  Alignment: 8,
  /** A debugger watches instructions (system/code-breakpoints.ts): as Code, and nothing of it reaches the guest. */
  Debugger: 16,
} as const;
/** Values of F.shadow. */
export const Shadow = { None: 0, Sti: 1, MovSs: 2 } as const;

/** Segment register numbers (encoding order), and the two system segments. */
export const Seg = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5, LDTR: 6, TR: 7 } as const;

/** Bits of F.segAttr. */
export const SegAttr = {
  TypeMask: 0xf,
  Accessed: 1,
  /** writable (data) or readable (code) */
  RW: 2,
  /** expand-down (data) or conforming (code) */
  DC: 4,
  Code: 8,
  /** S: code or data (not system) */
  NotSystem: 0x10,
  DplShift: 5,
  Present: 0x80,
  Avl: 0x1000,
  L: 0x2000,
  DB: 0x4000,
  G: 0x8000,
  Unusable: 0x1_0000,
} as const;

/** How the six arithmetic flags are held. ZF is always (ccR == 0). Values are sign-extended from the operand size to i64. */
export const FlagKind = {
  /** All of SF PF CF AF OF are bits of ccA in EFLAGS positions (ZF still ccR == 0). */
  Raw: 0,
  /** CF = ccA bit 0, AF = ccA bit 4, OF = ccB bit 0; SF PF from ccR. */
  Explicit: 1,
  /** ccA + ccB = ccR; */
  Add: 2,
  /** ccA + ccB + 1 = ccR */
  Adc: 3,
  /** ccA - ccB = ccR */
  Sub: 4,
  /** ccA - ccB - 1 = ccR */
  Sbb: 5,
  /** CF = OF = AF = 0 */
  Logic: 6,
} as const;

// ---- Operation record: what the decoder writes and the interpreter reads. Byte offsets, 32 bytes each.
export const OP = {
  /** u16 handler number */
  handler: 0,
  /** u8 instruction length in bytes */
  length: 2,
  /** u8 segment register of the memory operand (Seg) */
  seg: 3,
  /** u16 offset of the instruction in its page */
  pageOffset: 4,
  /** u8 byte offset in the state of the ModRM.reg operand (8-bit AH..BH point one byte in) */
  reg: 6,
  /** u8 the same for ModRM.rm when it is a register */
  rm: 7,
  /** u8 base register slot */
  base: 8,
  /** u8 index register slot */
  index: 9,
  /** u8 0..3 */
  scale: 10,
  /** u8 OpFlag */
  flags: 11,
  /** i32 displacement; sign-extends */
  disp: 12,
  /** i64 immediate, already extended to the operand size's rule; direct branches: target offset relative to the page */
  imm: 16,
  /** u32 operation record of a direct branch's target in the same page, 0 = not yet known */
  link: 24,
  /** u32: ModRM byte (bits 0-7), opcode byte (8-15), REX (16-23); bits 24-31 are `heat` */
  bytes: 28,
  /** u8: how often it was jumped to, modulo 256 (translator/hotness.ts) */
  heat: 31,
} as const;
export const OP_BYTES = 32;
export const OpFlag = {
  Rep: 1,
  Repne: 2,
  Lock: 4,
  OpSize16: 8,
  Addr16: 16,
  Addr32: 32,
  Rex: 64,
  OpSize64: 128,
} as const;

/** Why generated code returned. */
export const RunExit = {
  Budget: 0,
  /** F.faultVector is pending; F.rip is the faulting instruction. */
  Fault: 1,
  /** The code mode changed: pick the other interpreter and go on. */
  Mode: 2,
  /** HLT retired. */
  Halt: 3,
  /** A system routine asked for an exit to the hypervisor; see F.exitInfo*. */
  Intercept: 4,
} as const;

/** What a system routine (imported TypeScript function) tells generated code to do next. */
export const Next = {
  /** go on with the instruction that follows */
  Sequential: 0,
  /** F.rip was set: look it up (also after anything that changed paging, mode, segments or CPL) */
  Jump: 1,
  /** a fault is pending: nothing architectural has changed */
  Fault: 2,
  /** the instruction retired (F.rip is set to the next one) and run() must return with F.exit */
  Exit: 3,
  /** like Exit, but the instruction did not retire and F.rip is its own address (intercepts) */
  ExitBefore: 4,
} as const;

/** Bits of F.intercepts: what leaves run() instead of happening. */
export const Intercept = {
  Hlt: 1,
  Cpuid: 2,
  Io: 4,
  Msr: 8,
  CrAccess: 16,
  Invlpg: 32,
  Rdtsc: 64,
  Vmcall: 128,
  /** Every maskable external interrupt window */
  InterruptWindow: 256,
  Wbinvd: 512,
  /** SYSCALL, SYSENTER and INT n instructions leave (paravirtual guests) */
  Syscall: 1024,
  SoftInt: 2048,
  /** descriptor-table loads and task switches */
  DescriptorTable: 4096,
  DrAccess: 8192,
  Pause: 16384,
} as const;
