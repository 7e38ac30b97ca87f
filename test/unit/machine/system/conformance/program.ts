// A bare program that tries thousands of system operations in protected mode, each at some privilege, with descriptors and gates
// that are mostly wrong, and logs what came of each. The same bytes run on our CPU and on a reference, and the logs must be equal.
// Invariant: every case ends in the log handler (by an exception or by INT 40h behind the tried instruction) and none depends on another.

import { CodeWriter, Dice } from './code-writer.ts';

const GDT = 0x1000;
const LDT = 0x1800;
const IDT = 0x2000;
const TSS = 0x3000;
const TSS_DOUBLE_FAULT = 0x3200;
const TSS_OTHER = 0x3400;
const NEXT_CASE = 0x3ff0;
const LOG_POINTER = 0x3ff4;
const RING1_STACK = 0x5800;
const RING0_STACK = 0x5000;
const BOOT_STACK = 0x4800;
const DOUBLE_FAULT_STACK = 0x4c00;
const TEST_STACK = 0x6000;
const LANDING = 0x7000;
const DATA = 0x8000;
const LOG = 0x60_0000;
const CODE = 0x10_0000;
/** Where the log goes: QEMU's debug console. */
export const LOG_PORT = 0xe9;
/** Bytes of one log record: the frame of 19 dwords, then the four test descriptors. */
export const RECORD_BYTES = (19 + 8) * 4;

/** Selectors. Slots 0x60 to 0x78 are rewritten by every case. */
const Sel = {
  Code0: 0x08,
  Data0: 0x10,
  Code3: 0x1b,
  Data3: 0x23,
  Tss: 0x28,
  Code1: 0x31,
  Data1: 0x39,
  TssDf: 0x40,
  Ldt: 0x48,
};
const SLOTS = [0x60, 0x68, 0x70, 0x78] as const;

/** A descriptor's two dwords; attr has type..P in bits 0-7 and AVL..G in bits 12-15. */
function descriptor(base: number, limit: number, attr: number): [number, number] {
  return [
    ((base & 0xffff) << 16) | (limit & 0xffff),
    (base & 0xff00_0000) | ((base >>> 16) & 0xff) | ((attr & 0xf0ff) << 8) | (limit & 0xf_0000),
  ];
}

function gate(selector: number, offset: number, attr: number, count = 0): [number, number] {
  return [((selector & 0xffff) << 16) | (offset & 0xffff), (offset & 0xffff_0000) | (attr << 8) | count];
}

export interface Program {
  /** A Multiboot image to be loaded at 1 MiB. */
  image: Uint8Array;
  cases: string[];
}

/** Writes the program. The same seed and count give the same bytes. */
export function conformanceProgram(seed: number, count: number): Program {
  const w = new CodeWriter(CODE);
  const dice = new Dice(seed);
  // Multiboot header with addresses (Multiboot 0.6.96, 3.1.1): magic, flags, checksum, header, load, load end, bss end, entry
  const flags = 0x1_0000;
  w.dword(0x1bad_b002)
    .dword(flags)
    .dword(-(0x1bad_b002 + flags) | 0);
  w.dword(CODE).dword(CODE).dword(0).dword(0).dword(0);
  const [loadEnd, bssEnd, entry] = [CODE + 20, CODE + 24, CODE + 28];

  // ---- the log handler: [gs fs es ds | pushad | vector error eip cs eflags esp ss]
  const common = w.here;
  w.emit(0x60, 0x1e, 0x06, 0x0f, 0xa0, 0x0f, 0xa8); // pusha; push ds, es, fs, gs
  w.emit(0xb8).dword(Sel.Data0).emit(0x8e, 0xd8, 0x8e, 0xc0); // ds, es = flat
  w.emit(0xfc, 0x89, 0xe6, 0x8b, 0x3d).dword(LOG_POINTER); // cld; mov esi, esp; mov edi, [log]
  w.emit(0xb9).dword(19).emit(0xf3, 0xa5); // 19 dwords
  w.emit(0xbe)
    .dword(GDT + SLOTS[0])
    .emit(0xb9)
    .dword(8)
    .emit(0xf3, 0xa5); // the test descriptors
  w.emit(0x89, 0x3d).dword(LOG_POINTER);
  const resume = w.here;
  w.emit(0xb8).dword(Sel.Data0).emit(0x8e, 0xd0, 0xbc).dword(BOOT_STACK); // mov ss, ax; mov esp
  w.emit(0x6a, 2, 0x9d, 0xff, 0x25).dword(NEXT_CASE); // push 2; popf; jmp [next]

  // ---- the double-fault task: a record of 0xdf
  const doubleFault = w.here;
  w.emit(0xfc, 0xb8).dword(0xdfdf_dfdf).emit(0x8b, 0x3d).dword(LOG_POINTER);
  w.emit(0xb9).dword(27).emit(0xf3, 0xab, 0x89, 0x3d).dword(LOG_POINTER); // rep stosd
  w.jump(resume);

  // ---- one stub per vector; those without an error code push a 0
  const withError = new Set([8, 10, 11, 12, 13, 14, 17]);
  const stubs: number[] = [];
  for (let vector = 0; vector < 256; vector++) {
    stubs.push(w.here);
    if (!withError.has(vector)) w.emit(0x6a, 0);
    w.push(vector).jump(common);
  }

  // ---- start
  w.patch(entry, w.here);
  w.emit(0xfa, 0xfc, 0xbc).dword(BOOT_STACK);
  const gdtr = 0x3fe0;
  const fixed: [number, [number, number]][] = [
    [0, [0, 0]],
    [Sel.Code0, descriptor(0, 0xf_ffff, 0xc09b)],
    [Sel.Data0, descriptor(0, 0xf_ffff, 0xc093)],
    [Sel.Code3, descriptor(0, 0xf_ffff, 0xc0fb)],
    [Sel.Data3, descriptor(0, 0xf_ffff, 0xc0f3)],
    [Sel.Tss, descriptor(TSS, 0x87, 0x89)],
    [Sel.Code1, descriptor(0, 0xf_ffff, 0xc0bb)],
    [Sel.Data1, descriptor(0, 0xf_ffff, 0xc0b3)],
    [Sel.TssDf, descriptor(TSS_DOUBLE_FAULT, 0x67, 0x89)],
    [Sel.Ldt, descriptor(LDT, 0x1f, 0x82)],
  ];
  for (const [selector, [lo, hi]] of fixed) {
    w.store(GDT + (selector & ~7), lo).store(GDT + (selector & ~7) + 4, hi);
  }
  const [ldtLo, ldtHi] = descriptor(0, 0xf_ffff, 0xc0f3);
  for (let i = 0; i < 4; i++) w.store(LDT + i * 8, ldtLo).store(LDT + i * 8 + 4, i === 3 ? ldtHi & ~0x8000 : ldtHi);
  stubs.forEach((stub, vector) => {
    const software = vector === 0x40 || vector === 3 || vector === 4;
    const [lo, hi] = gate(Sel.Code0, stub, software ? 0xee : 0x8e);
    w.store(IDT + vector * 8, lo).store(IDT + vector * 8 + 4, hi);
  });
  w.store(IDT + 64, Sel.TssDf << 16).store(IDT + 68, 0x8500); // a task gate
  const tss32 = (at: number) => {
    for (let offset = 0; offset < 0x68; offset += 4) w.store(at + offset, 0);
    w.store(at + 4, RING0_STACK)
      .store(at + 8, Sel.Data0)
      .store(at + 12, RING1_STACK)
      .store(at + 16, Sel.Data1);
  };
  tss32(TSS);
  // I/O map of 256 ports behind the TSS: ports 40h to 5fh are allowed; the last byte is all ones
  w.store(TSS + 0x64, 0x68_0000);
  for (let offset = 0; offset < 0x20; offset += 4) w.store(TSS + 0x68 + offset, offset === 8 ? 0 : -1);
  const startTask = (at: number, eip: number, esp: number) => {
    tss32(at);
    w.store(at + 0x20, eip)
      .store(at + 0x24, 2)
      .store(at + 0x38, esp);
    for (const [offset, s] of [
      [0x48, Sel.Data0],
      [0x4c, Sel.Code0],
      [0x50, Sel.Data0],
      [0x54, Sel.Data0],
    ] as const) {
      w.store(at + offset, s);
    }
  };
  startTask(TSS_DOUBLE_FAULT, doubleFault, DOUBLE_FAULT_STACK);
  w.store(LANDING, 0x9090_40cd).store(LANDING + 4, 0); // int 40h
  for (let i = 0; i < 16; i++) w.store(DATA + i * 4, 0x1111_1111 * i);
  w.store(0x8ffc, 0x8ffc_8ffc);
  w.store(LOG_POINTER, LOG);
  w.store(gdtr, (GDT << 16) | 0x7f).store(gdtr + 4, GDT >>> 16);
  w.emit(0x0f, 0x01, 0x15).dword(gdtr); // lgdt
  w.store(gdtr, (IDT << 16) | 0x7ff).store(gdtr + 4, IDT >>> 16);
  w.emit(0x0f, 0x01, 0x1d).dword(gdtr); // lidt
  w.emit(0xea)
    .dword(w.here + 6)
    .emit(Sel.Code0, 0); // jmp far
  w.emit(0xb8).dword(Sel.Data0).emit(0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0);

  const cases: string[] = [];
  for (let n = 0; n < count; n++) {
    // where the next case starts is not known before this one is written
    w.emit(0xc7, 0x05).dword(NEXT_CASE);
    const link = w.here;
    w.dword(0);
    cases.push(writeCase(w, dice, startTask));
    w.patch(link, w.here);
  }

  // ---- send the log and stop
  w.emit(0xbe).dword(LOG).emit(0x8b, 0x0d).dword(LOG_POINTER).emit(0x29, 0xf1); // mov esi, log; mov ecx, [pointer]; sub ecx, esi
  w.emit(0xba).dword(LOG_PORT).emit(0xf3, 0x6e); // rep outsb
  w.emit(0x66, 0xba, 0xf4, 0, 0xb8).dword(0).emit(0xee); // out f4h: ends a QEMU that has isa-debug-exit
  w.emit(0xfa, 0xf4);
  w.patch(loadEnd, w.here);
  w.patch(bssEnd, w.here);
  return { image: w.bytes, cases };
}

type StartTask = (at: number, eip: number, esp: number) => void;

/** Random attributes of a code or data segment. */
function segmentAttr(dice: Dice): number {
  const type = dice.below(16);
  const present = dice.oneIn(6) ? 0 : 0x80;
  const big = dice.oneIn(4) ? 0 : 0x4000;
  return type | 0x10 | (dice.pick([0, 1, 3, 3, 0]) << 5) | present | big;
}

function segmentDescriptor(dice: Dice): [number, number] {
  // QEMU's software emulation does not check limits, so every segment reaches what the cases use
  const limit = dice.pick([0xf_ffff, 0xf_ffff, 0xffff, 0x8fff]);
  const granular = limit === 0xf_ffff ? 0x8000 : 0;
  return descriptor(0, limit, segmentAttr(dice) | granular);
}

/** Clears bits in the high dword of every data descriptor. */
function clearInData(slots: [number, number][], bits: number): void {
  for (const slot of slots) if ((slot[1] & 0x1800) === 0x1000) slot[1] &= ~bits;
}

/** Writes one case at the end of `w` and describes it. */
function writeCase(w: CodeWriter, dice: Dice, startTask: StartTask): string {
  const cpl = dice.pick([0, 0, 1, 3, 3]);
  const iopl = dice.pick([0, 0, 1, 3]);
  const slots: [number, number][] = SLOTS.map(() => segmentDescriptor(dice));
  const slotSelector = () => dice.pick(SLOTS) | dice.pick([0, cpl, cpl, 3, 1]);
  const anySelector = () =>
    dice.oneIn(8)
      ? dice.pick([
          0,
          3,
          Sel.Code0,
          Sel.Data0,
          Sel.Code3,
          Sel.Data3,
          Sel.Tss,
          Sel.Ldt,
          0x80,
          0xfff8,
          0x07,
          0x0c,
          0x1c,
          0x24,
          0x0f,
        ])
      : slotSelector();

  w.store(GDT + Sel.Tss, descriptor(TSS, 0x87, 0x89)[0]).store(GDT + Sel.Tss + 4, descriptor(TSS, 0x87, 0x89)[1]);
  w.store(GDT + Sel.TssDf + 4, descriptor(TSS_DOUBLE_FAULT, 0x67, 0x89)[1]);
  w.emit(0xb8).dword(Sel.Tss).emit(0x0f, 0x00, 0xd8); // ltr
  w.emit(0xb8).dword(Sel.Ldt).emit(0x0f, 0x00, 0xd0); // lldt
  w.emit(0x0f, 0x06); // clts: a task switch has set CR0.TS
  const tried = new CodeWriter(0);
  const stack: number[] = [];
  let what: string;
  const kind = dice.below(12);
  if (kind === 0) {
    const segment = dice.pick([0, 3, 4, 5, 2]);
    const selector = anySelector();
    // without limits an expand-down stack works in QEMU where it must not
    if (segment === 2) clearInData(slots, 0x400);
    tried.load(0, selector).emit(0x8e, 0xc0 | (segment << 3));
    what = `mov sreg ${segment}, ${selector.toString(16)}`;
  } else if (kind <= 3) {
    // a jump or call, direct, through a gate, or to a task
    const call = dice.oneIn(2);
    let selector = anySelector();
    if (dice.oneIn(2)) {
      const code = dice.oneIn(6) ? anySelector() : slotSelector() & ~4;
      const count = dice.oneIn(3) ? 2 : 0;
      // QEMU gives a conforming target's DPL to CS, and #GP instead of #NP to a jump: both unlike the manual
      slots.forEach((slot) => {
        if ((slot[1] & 0x1800) === 0x1800) slot[1] = (slot[1] & ~0x400) | (call ? 0 : 0x8000);
      });
      const type = dice.oneIn(6) ? dice.pick([4, 6, 14, 2, 8, 10, 13]) : 12;
      slots[3] = gate(code, LANDING, type | (dice.pick([0, 3, 3, 1]) << 5) | (dice.oneIn(6) ? 0 : 0x80), count);
      selector = SLOTS[3] | dice.pick([0, cpl, cpl, 3]);
    } else if (dice.oneIn(4)) {
      startTask(TSS_OTHER, LANDING, DOUBLE_FAULT_STACK);
      const busy = dice.oneIn(4) ? 2 : 0;
      const attr = 9 | busy | (dice.pick([0, 3]) << 5) | (dice.oneIn(6) ? 0 : 0x80);
      slots[3] = descriptor(TSS_OTHER, dice.oneIn(5) ? 0x40 : 0x67, attr);
      selector = SLOTS[3] | dice.pick([0, cpl]);
      if (dice.oneIn(2)) {
        // through a task gate
        slots[2] = gate(SLOTS[3], 0, 5 | (dice.pick([0, 3]) << 5) | (dice.oneIn(6) ? 0 : 0x80));
        selector = SLOTS[2] | dice.pick([0, cpl]);
      }
    }
    const small = dice.oneIn(4);
    if (small) tried.emit(0x66, call ? 0x9a : 0xea, LANDING, LANDING >>> 8, selector, selector >>> 8);
    else
      tried
        .emit(call ? 0x9a : 0xea)
        .dword(LANDING)
        .emit(selector, selector >>> 8);
    what = `${call ? 'call' : 'jmp'} far ${selector.toString(16)}${small ? ' 16' : ''}`;
  } else if (kind <= 5) {
    // a return: EIP CS [EFLAGS] ESP SS. QEMU answers a stack that is not present with #NP, the manual with #SS
    for (const slot of slots) if ((slot[1] & 0x1800) === 0x1000) slot[1] |= 0x8000;
    clearInData(slots, 0x400);
    const iret = dice.oneIn(2);
    const cs = anySelector();
    const ss = dice.oneIn(3)
      ? anySelector()
      : dice.pick([Sel.Data3, Sel.Data0, Sel.Data1, cs & 3 ? SLOTS[0] | (cs & 3) : Sel.Data0]);
    const nt = dice.oneIn(12) ? 0x4000 : 0;
    const image = dice.pick([0x3202, 0x202, 0x2, 0x1_0ad7, 0x2002]) & ~0x200;
    stack.push(LANDING, cs);
    if (iret) stack.push(image);
    stack.push(TEST_STACK - 0x40, ss, 0, 0, 0, 0);
    if (iret && nt) w.store(TSS, dice.pick([Sel.TssDf, SLOTS[0], 0]));
    if (iret && nt) tried.emit(0x9c, 0x81, 0x0c, 0x24).dword(nt).emit(0x9d); // pushf; or [esp]; popf
    if (iret) tried.emit(0xcf);
    else if (dice.oneIn(3)) tried.emit(0xca, 8, 0);
    else tried.emit(0xcb);
    what = `${iret ? 'iret' : 'retf'} cs ${cs.toString(16)} ss ${ss.toString(16)}${nt ? ' nt' : ''}`;
  } else if (kind <= 7) {
    // INT through a gate of our making
    const type = dice.oneIn(8) ? dice.below(16) : dice.pick([14, 15, 6, 7]);
    const code = dice.oneIn(8) ? anySelector() : slotSelector() & ~4;
    const [lo, hi] = gate(
      code,
      LANDING,
      type === 5 ? 0 : type | (dice.pick([0, 3, 3]) << 5) | (dice.oneIn(8) ? 0 : 0x80),
    );
    w.store(IDT + 0x41 * 8, lo).store(IDT + 0x41 * 8 + 4, hi);
    tried.emit(0xcd, 0x41);
    what = `int 41h gate type ${type} code ${code.toString(16)}`;
  } else if (kind === 8) {
    const selector = anySelector();
    const form = dice.pick(['lar', 'lsl', 'verr', 'verw', 'arpl'] as const);
    if (dice.oneIn(3)) {
      const type = dice.below(16);
      slots[0] = descriptor(0x1234, dice.next() & 0xf_ffff, type | (dice.below(4) << 5) | (dice.next() & 0xf080));
    }
    tried.load(1, selector).load(0, 0x5555_5555);
    if (form === 'lar') tried.emit(0x0f, 0x02, 0xc1);
    else if (form === 'lsl') tried.emit(0x0f, 0x03, 0xc1);
    else if (form === 'verr') tried.emit(0x0f, 0x00, 0xe1);
    else if (form === 'verw') tried.emit(0x0f, 0x00, 0xe9);
    else tried.emit(0x63, 0xc8);
    what = `${form} ${selector.toString(16)}`;
  } else if (kind === 9) {
    // memory through a segment
    const selector = slotSelector();
    const write = dice.oneIn(2);
    slots.forEach((slot) => {
      // QEMU does not check the type of a segment that is written, nor what an expand-down one leaves out
      if (write) slot[1] = (slot[1] & ~0x800) | 0x200;
    });
    clearInData(slots, 0x400);
    const offset = dice.pick([0x7000, 0x7001, 0x800d, 0x8010, 0x8011, 0x8000, 0x8ffc]);
    tried.load(0, selector).emit(0x8e, 0xc0); // mov es, ax
    tried.emit(0x26, write ? 0x87 : 0x8b, 0x05).dword(offset); // es: xchg or mov eax
    if (write) tried.emit(0x26, 0x87, 0x05).dword(offset); // and put it back
    what = `${write ? 'write' : 'read'} es ${selector.toString(16)}:${offset.toString(16)}`;
  } else if (kind === 10) {
    const [name, ...code] = dice.pick<[string, ...number[]]>([
      ['cli', 0xfa],
      ['clts', 0x0f, 0x06],
      ['popf', 0x68, 0x02, 0x78, 0x24, 0x00, 0x9d],
      ['pushf', 0x9c, 0x58],
      ['smsw', 0x0f, 0x01, 0xe0],
      ['mov cr3', 0x0f, 0x20, 0xd8],
      ['mov dr7', 0x0f, 0x21, 0xf8],
      ['invd', 0x0f, 0x08],
      ['lmsw', 0xb8, 0x11, 0, 0, 0, 0x0f, 0x01, 0xf0],
      ['sldt', 0x0f, 0x00, 0xc0],
      ['str', 0x0f, 0x00, 0xc8],
      ['str16', 0x66, 0x0f, 0x00, 0xc8],
      ['int3', 0xcc],
      ['into', 0xce],
      ['into of', 0xb0, 0x7f, 0x04, 0x01, 0xce],
      ['ud2', 0x0f, 0x0b],
      ['bound', 0xb8, 5, 0, 0, 0, 0x62, 0x05, 0x04, 0x80, 0, 0],
      ['bound out', 0xb8, 0, 0, 0, 0, 0x62, 0x05, 0x04, 0x80, 0, 0],
      ['enter', 0xc8, 0x20, 0, 3],
      ['div', 0x31, 0xc9, 0xf7, 0xf1],
    ]);
    tried.emit(...code);
    what = name;
  } else {
    const port = dice.pick([0x3f, 0x40, 0x41, 0x5e, 0x5f, 0x60, 0xff, 0x100, 0xf8]);
    const size = dice.pick([1, 2, 4]);
    // The values that come back differ between machines: they are thrown away
    tried.load(2, port);
    if (dice.oneIn(2)) {
      const form = dice.oneIn(2);
      const selector = form ? anySelector() : SLOTS[1];
      if (form) {
        if (dice.oneIn(2)) slots[0] = descriptor(LDT, 0x1f, 2 | (dice.oneIn(4) ? 0x60 : 0x80));
        tried.load(0, selector).emit(0x0f, 0x00, 0xd0);
      } else {
        slots[1] = descriptor(TSS_OTHER, 0x67, dice.pick([0x89, 0x8b, 0x09, 0x81, 0x83, 0x82, 0x93]));
        tried.load(0, selector).emit(0x0f, 0x00, 0xd8);
      }
      what = `${form ? 'lldt' : 'ltr'} ${selector.toString(16)}`;
    } else {
      if (size === 2) tried.emit(0x66);
      tried.emit(size === 1 ? 0xec : 0xed).load(0, 0);
      what = `in ${port.toString(16)} size ${size}`;
    }
  }
  slots.forEach(([lo, hi], i) => w.store(GDT + SLOTS[i], lo).store(GDT + SLOTS[i] + 4, hi));
  const sp = TEST_STACK - 0x80;
  for (let i = 0; i < 10; i++) w.store(sp + i * 4, stack[i] ?? 0x7700 + i);
  const data = cpl === 0 ? Sel.Data0 : cpl === 1 ? Sel.Data1 : Sel.Data3;
  w.emit(0xb8).dword(cpl === 0 ? Sel.Data0 : Sel.Data3);
  w.emit(0x8e, 0xc0, 0x8e, 0xe0, 0x8e, 0xe8, 0x8e, 0xd8); // es, fs, gs, ds
  const code = cpl === 0 ? Sel.Code0 : cpl === 1 ? Sel.Code1 : Sel.Code3;
  const eflags = 2 | (iopl << 12);
  w.load(1, 0xc1c1_c1c1)
    .load(2, 0xd2d2_d2d2)
    .load(3, 0xb3b3_b3b3)
    .load(5, TEST_STACK - 0x10)
    .load(6, 6)
    .load(7, 7)
    .load(0, 0xa0a0_a0a0);
  if (cpl === 0) {
    w.push(eflags).emit(0x9d).load(4, sp);
  } else {
    w.push(data).push(sp).push(eflags).push(code);
    w.push(w.here + 6).emit(0xcf);
  }
  w.emit(...tried.bytes, 0xcd, 0x40);
  return `${what} cpl ${cpl} iopl ${iopl} slots ${slots.map(([lo, hi]) => `${(hi >>> 0).toString(16)}:${(lo >>> 0).toString(16)}`).join(' ')}`;
}
