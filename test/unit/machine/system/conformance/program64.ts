// The conformance program for long mode: the same idea as program.ts, in 64-bit and compatibility mode, with paging.
// Invariant: every case ends in the log handler on its own stack (IST 1), and none depends on another.

import { CodeWriter, Dice } from './code-writer.ts';
import { LOG_PORT } from './program.ts';
import type { Program } from './program.ts';

const GDT = 0x1000;
const IDT = 0x2000; // 4 KiB
const TSS = 0x3000;
const NEXT_CASE = 0x3ff0;
const LOG_POINTER = 0x3ff4;
const BOOT_STACK = 0x4800;
const HANDLER_STACK = 0x5000;
const RING0_STACK = 0x5800;
const OTHER_STACK = 0x5c00;
const TEST_STACK = 0x6000;
const LANDING = 0x7000;
const DATA = 0xd000;
const CODE = 0x10_0000;
const LOG = 0x80_0000;
/** Page tables: PML4, directory pointers, directory, and the table of the two test pages. */
const PML4 = 0x9000;
const POINTERS = 0xa000;
const DIRECTORY = 0xb000;
const TEST_TABLE = 0xc000;
/** Linear address of the test pages; they map LANDING's frame and the one behind it. */
const TEST_PAGE = 0x40_0000;
const TEST_DIRECTORY_ENTRY = DIRECTORY + 16;

/** Bytes of one log record: 18 qwords of frame, four descriptors, two page table entries and their directory entry. */
export const RECORD_BYTES_64 = 18 * 8 + 4 * 8 + 3 * 8;

const Sel = { Code0: 0x08, Data0: 0x10, Compat3: 0x1b, Data3: 0x23, Code3: 0x2b, Tss: 0x30, Compat0: 0x40, Ldt: 0x50 };
const SLOTS = [0x60, 0x68, 0x70, 0x78] as const;

/** Dwords at some offsets of the test pages. */
const PAGE_CONTENT = { 0: 0x9090_40cd, 0x800: 0, 0xffc: 0x9090_40cd, 0xffe: 0x40cd_9090, 0x1000: 0x9090_40cd } as const;

type Pair = [number, number];

function descriptor(base: number, limit: number, attr: number): Pair {
  return [
    ((base & 0xffff) << 16) | (limit & 0xffff),
    (base & 0xff00_0000) | ((base >>> 16) & 0xff) | ((attr & 0xf0ff) << 8) | (limit & 0xf_0000),
  ];
}

/** MOV dword [address], imm32 in 64-bit code. */
function store(w: CodeWriter, address: number, value: number): void {
  w.emit(0xc7, 0x04, 0x25).dword(address).dword(value);
}

function storePair(w: CodeWriter, address: number, [lo, hi]: Pair): void {
  store(w, address, lo);
  store(w, address + 4, hi);
}

/** MOV r64, imm64 */
function load64(w: CodeWriter, register: number, lo: number, hi: number): void {
  w.emit(0x48, 0xb8 + register)
    .dword(lo)
    .dword(hi);
}

export function conformanceProgram64(seed: number, count: number): Program {
  const w = new CodeWriter(CODE);
  const dice = new Dice(seed);
  const flags = 0x1_0000;
  w.dword(0x1bad_b002)
    .dword(flags)
    .dword(-(0x1bad_b002 + flags) | 0);
  w.dword(CODE).dword(CODE).dword(0).dword(0).dword(0);
  const [loadEnd, bssEnd, entry] = [CODE + 20, CODE + 24, CODE + 28];

  // ---- log handler: [gs fs es ds cr2 rdi rsi rbx rdx rcx rax | vector error rip cs rflags rsp ss]
  const common = w.here;
  w.emit(0x50, 0x51, 0x52, 0x53, 0x56, 0x57, 0x0f, 0x20, 0xd0, 0x50);
  w.emit(0x8c, 0xd8, 0x50, 0x8c, 0xc0, 0x50, 0x8c, 0xe0, 0x50, 0x8c, 0xe8, 0x50);
  w.emit(0xfc, 0x48, 0x89, 0xe6, 0x8b, 0x3c, 0x25).dword(LOG_POINTER);
  w.emit(0xb9).dword(36).emit(0xf3, 0xa5);
  w.emit(0xbe)
    .dword(GDT + SLOTS[0])
    .emit(0xb9)
    .dword(8)
    .emit(0xf3, 0xa5);
  w.emit(0xbe).dword(TEST_TABLE).emit(0xb9).dword(4).emit(0xf3, 0xa5);
  w.emit(0xbe).dword(TEST_DIRECTORY_ENTRY).emit(0xa5, 0xa5, 0x89, 0x3c, 0x25).dword(LOG_POINTER);
  w.emit(0x31, 0xc0, 0x0f, 0x22, 0xd0); // xor eax, eax; mov cr2, rax
  w.emit(0xb8).dword(Sel.Data0).emit(0x8e, 0xd0, 0xbc).dword(BOOT_STACK);
  w.emit(0x6a, 2, 0x9d, 0x8b, 0x04, 0x25).dword(NEXT_CASE).emit(0xff, 0xe0);
  const withError = new Set([8, 10, 11, 12, 13, 14, 17]);
  const stubs: number[] = [];
  for (let vector = 0; vector < 256; vector++) {
    stubs.push(w.here);
    if (!withError.has(vector)) w.emit(0x6a, 0);
    w.push(vector).jump(common);
  }

  // ---- start, in 32-bit protected mode: tables, then long mode
  w.patch(entry, w.here);
  w.emit(0xfa, 0xfc, 0xbc).dword(BOOT_STACK);
  const put = (address: number, lo: number, hi = 0) => w.store(address, lo).store(address + 4, hi);
  for (const page of [PML4, POINTERS, DIRECTORY, TEST_TABLE]) {
    w.emit(0x31, 0xc0, 0xbf).dword(page).emit(0xb9).dword(1024).emit(0xf3, 0xab);
  }
  put(PML4, POINTERS | 7);
  put(POINTERS, DIRECTORY | 7);
  for (let i = 0; i < 8; i++) put(DIRECTORY + i * 8, (i << 21) | 0x87);
  put(TEST_DIRECTORY_ENTRY, TEST_TABLE | 7);
  const gdtr = 0x3fe0;
  const fixed: [number, Pair][] = [
    [0, [0, 0]],
    [Sel.Code0, descriptor(0, 0xf_ffff, 0xa09b)],
    [Sel.Data0, descriptor(0, 0xf_ffff, 0xc093)],
    [Sel.Compat3, descriptor(0, 0xf_ffff, 0xc0fb)],
    [Sel.Data3, descriptor(0, 0xf_ffff, 0xc0f3)],
    [Sel.Code3, descriptor(0, 0xf_ffff, 0xa0fb)],
    [Sel.Tss, descriptor(TSS, 0x67, 0x89)],
    [Sel.Tss + 8, [0, 0]],
    [Sel.Compat0, descriptor(0, 0xf_ffff, 0xc09b)],
    [0x48, [0, 0]],
    [Sel.Ldt, descriptor(0x1800, 0x1f, 0x82)],
    [Sel.Ldt + 8, [0, 0]],
  ];
  for (const [selector, [lo, hi]] of fixed) put(GDT + (selector & ~7), lo, hi);
  const data3 = descriptor(0, 0xf_ffff, 0xc0f3);
  for (let i = 0; i < 4; i++) put(0x1800 + i * 8, ...data3);
  stubs.forEach((stub, vector) => {
    const software = vector === 0x40 || vector === 3 || vector === 4;
    put(
      IDT + vector * 16,
      (Sel.Code0 << 16) | (stub & 0xffff),
      (stub & 0xffff_0000) | (software ? 0xee00 : 0x8e00) | 1,
    );
    put(IDT + vector * 16 + 8, 0);
  });
  for (let offset = 0; offset < 0x68; offset += 4) w.store(TSS + offset, 0);
  w.store(TSS + 4, RING0_STACK)
    .store(TSS + 0x24, HANDLER_STACK)
    .store(TSS + 0x2c, OTHER_STACK)
    .store(TSS + 0x64, 0x68_0000);
  w.store(LANDING, 0x9090_40cd)
    .store(LANDING + 4, 0)
    .store(LANDING + 0xffc, 0x9090_40cd)
    .store(LANDING + 0x1000, 0x9090_40cd);
  w.store(LOG_POINTER, LOG);
  w.store(gdtr, (GDT << 16) | 0x7f)
    .store(gdtr + 4, 0)
    .emit(0x0f, 0x01, 0x15)
    .dword(gdtr);
  w.store(gdtr, (IDT << 16) | 0xfff)
    .store(gdtr + 4, 0)
    .store(gdtr + 8, 0);
  w.load(0, 0x20).emit(0x0f, 0x22, 0xe0).load(0, PML4).emit(0x0f, 0x22, 0xd8); // cr4.PAE, cr3
  w.load(1, 0xc000_0080).load(0, 0x901).load(2, 0).emit(0x0f, 0x30); // EFER: SCE LME NXE
  w.load(0, 0x8001_0011).emit(0x0f, 0x22, 0xc0); // paging, WP
  w.emit(0xea)
    .dword(w.here + 6)
    .emit(Sel.Code0, 0);
  w.emit(0xb8).dword(Sel.Data0).emit(0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0);
  w.emit(0x0f, 0x01, 0x1c, 0x25).dword(gdtr); // lidt, ten bytes
  w.load(1, 0xc000_0081)
    .load(0, 0)
    .load(2, (0x18 << 16) | 0x08)
    .emit(0x0f, 0x30); // STAR
  w.load(1, 0xc000_0082).load(0, LANDING).load(2, 0).emit(0x0f, 0x30); // LSTAR
  w.load(1, 0xc000_0084).load(0, 0x700).emit(0x0f, 0x30); // FMASK

  const cases: string[] = [];
  for (let n = 0; n < count; n++) {
    w.emit(0xc7, 0x04, 0x25).dword(NEXT_CASE);
    const link = w.here;
    w.dword(0);
    cases.push(writeCase(w, dice));
    w.patch(link, w.here);
  }
  w.emit(0xbe).dword(LOG).emit(0x8b, 0x0c, 0x25).dword(LOG_POINTER).emit(0x29, 0xf1);
  w.emit(0xba).dword(LOG_PORT).emit(0xf3, 0x6e);
  w.emit(0x66, 0xba, 0xf4, 0, 0xb8).dword(0).emit(0xee, 0xfa, 0xf4);
  w.patch(loadEnd, w.here);
  w.patch(bssEnd, w.here);
  return { image: w.bytes, cases };
}

/** A code or data descriptor with base 0 and limit 4 GiB. */
function segmentDescriptor(dice: Dice): Pair {
  // not expand-down, and not both L and D: QEMU enforces neither
  const type = dice.pick([0, 1, 2, 3, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 10, 11]);
  const wide = type >= 8 ? dice.pick([0x2000, 0x2000, 0x4000, 0]) : dice.pick([0x4000, 0]);
  const attr = type | 0x10 | (dice.pick([0, 0, 3, 3, 1]) << 5) | (dice.oneIn(8) ? 0 : 0x80) | wide | 0x8000;
  return descriptor(0, 0xf_ffff, attr);
}

type Mode = 'kernel' | 'user' | 'compat';

function writeCase(w: CodeWriter, dice: Dice): string {
  const mode: Mode = dice.pick(['kernel', 'user', 'user', 'compat'] as const);
  const cpl = mode === 'kernel' ? 0 : 3;
  const wide = mode !== 'compat';
  const slots: Pair[] = SLOTS.map(() => segmentDescriptor(dice));
  const slotSelector = () => dice.pick(SLOTS) | dice.pick([0, cpl, cpl, 3, 1]);
  const anySelector = () =>
    dice.oneIn(6)
      ? dice.pick([
          0,
          3,
          Sel.Code0,
          Sel.Data0,
          Sel.Code3,
          Sel.Data3,
          Sel.Tss,
          Sel.Compat3,
          Sel.Compat0,
          0x80,
          0x07,
          0x0c,
        ])
      : slotSelector();
  /** RIP of a target. One that is not canonical is noticed by QEMU only when it arrives there. */
  const target = (): Pair => [LANDING, 0];

  storePair(w, GDT + Sel.Tss, descriptor(TSS, 0x67, 0x89));
  w.load(0, Sel.Tss).emit(0x0f, 0x00, 0xd8).load(0, Sel.Ldt).emit(0x0f, 0x00, 0xd0);
  const tried = new CodeWriter(0);
  const stack: Pair[] = [];
  let stackWords: number[] | null = null;
  let pages: [Pair, Pair] = [
    [LANDING | 7, 0],
    [(LANDING + 0x1000) | 7, 0],
  ];
  let directory: Pair = [TEST_TABLE | 7, 0];
  let writeProtect = true;
  let what: string;
  const kind = dice.below(10);
  if (kind === 0) {
    const segment = dice.pick([0, 3, 4, 5, 2]);
    const selector = anySelector();
    if (segment === 2) for (const slot of slots) if ((slot[1] & 0x1800) === 0x1000) slot[1] |= 0x40_0000;
    tried.load(0, selector).emit(0x8e, 0xc0 | (segment << 3));
    what = `mov sreg ${segment}, ${selector.toString(16)}`;
  } else if (kind <= 2) {
    const call = dice.oneIn(2);
    let selector = anySelector();
    const [lo, hi] = target();
    if (dice.oneIn(2)) {
      const type = dice.oneIn(6) ? dice.pick([4, 5, 9, 11, 2, 14]) : 12;
      const code = dice.oneIn(6) ? anySelector() : dice.pick([SLOTS[0], SLOTS[1]]) | dice.pick([0, 3]);
      // QEMU gives a conforming target's DPL to CS, and #GP instead of #NP to a jump
      for (const slot of slots.slice(0, 2)) slot[1] = (slot[1] & ~0x400) | 0x8000;
      slots[2] = [
        ((code & 0xffff) << 16) | lo,
        (type << 8) | (dice.pick([0, 3, 3]) << 13) | (dice.oneIn(8) ? 0 : 0x8000),
      ];
      slots[3] = [hi, 0];
      selector = SLOTS[2] | dice.pick([0, cpl]);
    }
    const big = wide && dice.oneIn(3);
    store(w, DATA, lo);
    if (big) {
      store(w, DATA + 4, hi);
      store(w, DATA + 8, selector);
      tried.emit(0x48);
    } else store(w, DATA + 4, selector);
    tried.emit(0xff, (call ? 0x18 : 0x28) | (wide ? 4 : 5));
    if (wide) tried.emit(0x25);
    tried.dword(DATA);
    what = `${call ? 'call' : 'jmp'} far ${selector.toString(16)}${big ? ' 64' : ''}`;
  } else if (kind <= 4) {
    const iret = dice.oneIn(2);
    const big = wide && !dice.oneIn(4);
    const cs = anySelector();
    // what a null SS with another RPL than CS does is not in the manual
    const wanted = dice.oneIn(3) ? anySelector() : dice.pick([Sel.Data3, Sel.Data0]);
    const ss = (wanted & ~3) === 0 ? Sel.Data3 : wanted;
    for (const slot of slots) if ((slot[1] & 0x1800) === 0x1000) slot[1] |= 0x8000;
    const rip = target();
    const image = dice.pick([0x3002, 0x2, 0x1_08d7, 0x2002, 0x24_0002, 0x4002]);
    stack.push(rip, [cs, 0]);
    if (iret) stack.push([image, 0]);
    stack.push([TEST_STACK - 0x40, 0], [ss, 0]);
    if (!big) stackWords = stack.map(([lo]) => lo);
    if (big) tried.emit(0x48);
    tried.emit(iret ? 0xcf : 0xcb);
    what = `${iret ? 'iret' : 'retf'}${big ? ' 64' : ''} cs ${cs.toString(16)} ss ${ss.toString(16)} rip ${rip[1].toString(16)}`;
  } else if (kind === 5) {
    const type = dice.oneIn(6) ? dice.below(16) : dice.pick([14, 15]);
    const code = dice.oneIn(8) ? anySelector() : slotSelector() & ~4;
    // which of #GP for the wrong width and #NP comes first is not in the manual
    // and QEMU makes SS null whenever there is an IST, even without a change of level
    for (const slot of slots) if ((slot[1] & 0x1800) === 0x1800) slot[1] = (slot[1] & ~0x6400) | 0x8000;
    const ist = mode === 'kernel' ? 0 : dice.pick([0, 0, 2]);
    const access = (type << 8) | (dice.pick([0, 3, 3]) << 13) | (dice.oneIn(8) ? 0 : 0x8000);
    storePair(w, IDT + 0x41 * 16, [((code & 0xffff) << 16) | LANDING, access | ist]);
    tried.emit(0xcd, 0x41);
    what = `int 41h gate type ${type} ist ${ist} code ${code.toString(16)}`;
  } else if (kind <= 7) {
    // paging: a read, a write, a fetch, or one across two pages
    const entry = (frame: number): Pair => [
      frame | dice.pick([7, 7, 5, 3, 1, 0, 6, 0x67, 0x27]),
      dice.oneIn(10) ? 0x8_0000 : dice.oneIn(4) ? 0x8000_0000 | 0 : 0,
    ];
    pages = [entry(LANDING), entry(LANDING + 0x1000)];
    if (dice.oneIn(3)) directory = entry(TEST_TABLE);
    writeProtect = !dice.oneIn(3);
    // a read-modify-write counts as a write on hardware and as a read in QEMU: left out
    const form = dice.pick(['read', 'write', 'fetch'] as const);
    const offset = dice.pick([0, 0x1000, 0xffe, 0xffc, 0x800] as const);
    if (form === 'fetch') {
      tried.load(0, TEST_PAGE + dice.pick([0, 0xffc, 0x1000])).emit(0xff, 0xe0);
    } else {
      tried.load(1, TEST_PAGE + offset);
      if (form === 'read') tried.emit(0x8b, 0x01);
      // what is written is what is there, so that the landing instructions stay
      else tried.load(0, PAGE_CONTENT[offset]).emit(0x89, 0x01);
    }
    what = `${form} page at ${offset.toString(16)} wp ${writeProtect} entries ${[...pages, directory].map(([lo, hi]) => `${(hi >>> 0).toString(16)}:${lo.toString(16)}`).join(' ')}`;
  } else if (kind === 8) {
    const high = dice.pick([0x8000, 0xffff_7fff, 0x7fff, 0xffff_8000, 0]);
    // QEMU does not look whether what WRMSR and SYSRET take is canonical
    const form = dice.pick(['ds', 'fs', 'wrmsr', 'sysret', 'invlpg'] as const);
    if (mode === 'compat')
      tried.emit(0x0f, 0x01, 0xf8); // SWAPGS is unknown there
    else if (form === 'ds') {
      load64(tried, 1, DATA, high);
      tried.emit(0x8b, 0x01);
    } else if (form === 'fs') {
      load64(tried, 1, DATA - 4, high);
      tried.emit(0x64, 0x8b, 0x41, 4);
    } else if (form === 'wrmsr')
      tried
        .load(1, 0xc000_0102)
        .load(0, 0)
        .load(2, high === 0x8000 || high === 0xffff_7fff ? 0 : high)
        .emit(0x0f, 0x30);
    else if (form === 'sysret') {
      load64(tried, 1, LANDING, high === 0x8000 || high === 0xffff_7fff ? 0 : high);
      tried
        .emit(0x41, 0xbb)
        .dword(0x1002)
        .emit(
          ...dice.pick([
            [0x48, 0x0f, 0x07],
            [0x0f, 0x07],
            [0x0f, 0x05],
          ]),
        );
    } else {
      load64(tried, 1, DATA, high);
      tried.emit(0x0f, 0x01, 0x39);
    }
    what = `${mode === 'compat' ? 'swapgs' : form} ${high.toString(16)}`;
  } else {
    const form = dice.pick(['lar', 'lsl', 'verr', 'verw', 'lldt', 'ltr', 'other'] as const);
    // QEMU lets LTR load a null selector
    let selector = form === 'ltr' ? slotSelector() : anySelector();
    if (dice.oneIn(2)) {
      selector = SLOTS[0] | dice.pick([0, cpl]);
      // QEMU's LAR knows 16-bit types in long mode too
      const type = dice.pick([0, 2, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
      slots[0] = descriptor(0x3000, 0x67, type | (dice.below(4) << 5) | (dice.oneIn(5) ? 0 : 0x80));
      slots[1] = [dice.oneIn(4) ? 0xffff_8000 | 0 : 0, dice.oneIn(4) ? 0x100 : 0];
    }
    tried.load(1, selector).load(0, 0x5555_5555);
    if (form === 'lar') tried.emit(0x0f, 0x02, 0xc1);
    else if (form === 'lsl') tried.emit(0x0f, 0x03, 0xc1);
    else if (form === 'verr') tried.emit(0x0f, 0x00, 0xe1);
    else if (form === 'verw') tried.emit(0x0f, 0x00, 0xe9);
    else if (form === 'lldt') tried.emit(0x0f, 0x00, 0xd1);
    else if (form === 'ltr') tried.emit(0x0f, 0x00, 0xd9);
    else {
      tried.emit(
        ...dice.pick([
          [0xfa],
          [0x9c, 0x58],
          [0x0f, 0x01, 0xf8, 0x0f, 0x01, 0xf8],
          [0x0f, 0x20, 0xe0],
          [0x0f, 0x00, 0xc0],
          [0xc8, 0x20, 0, 2],
          [0x66, 0x0f, 0x00, 0xc8],
          [0x0f, 0x0b],
          [0xcc],
        ]),
      );
    }
    what = `${form} ${selector.toString(16)}`;
  }
  slots.forEach((slot, i) => storePair(w, GDT + SLOTS[i], slot));
  const sp = TEST_STACK - 0x80;
  for (let i = 0; i < 6; i++) {
    if (stackWords !== null) {
      store(w, sp + i * 8, stackWords[i * 2] ?? 0x7700);
      store(w, sp + i * 8 + 4, stackWords[i * 2 + 1] ?? 0x7701);
    } else storePair(w, sp + i * 8, stack[i] ?? [0x7700 + i, 0]);
  }
  storePair(w, TEST_TABLE, pages[0]);
  storePair(w, TEST_TABLE + 8, pages[1]);
  storePair(w, TEST_DIRECTORY_ENTRY, directory);
  w.emit(0x0f, 0x01, 0x3c, 0x25)
    .dword(TEST_PAGE)
    .emit(0x0f, 0x01, 0x3c, 0x25)
    .dword(TEST_PAGE + 0x1000);
  w.load(0, writeProtect ? 0x8001_0011 : 0x8000_0011).emit(0x0f, 0x22, 0xc0);
  w.load(0, cpl === 0 ? Sel.Data0 : Sel.Data3).emit(0x8e, 0xc0, 0x8e, 0xe0, 0x8e, 0xe8, 0x8e, 0xd8);
  w.load(1, 0xc1c1_c1c1)
    .load(2, 0xd2d2_d2d2)
    .load(3, 0xb3b3_b3b3)
    .load(5, TEST_STACK - 0x10)
    .load(6, 6)
    .load(7, 7)
    .load(0, 0xa0a0_a0a0);
  if (mode === 'kernel') w.load(4, sp);
  else {
    w.push(Sel.Data3)
      .push(sp)
      .push(2)
      .push(mode === 'user' ? Sel.Code3 : Sel.Compat3);
    w.push(w.here + 7).emit(0x48, 0xcf);
  }
  w.emit(...tried.bytes, 0xcd, 0x40);
  return `${what} ${mode} slots ${slots.map(([lo, hi]) => `${(hi >>> 0).toString(16)}:${(lo >>> 0).toString(16)}`).join(' ')}`;
}
