// Chooses what is translated together: the basic blocks of one page that direct jumps, calls and returns reach from a place, as far as they
// have been decoded (and so executed, or come close to) and the translator takes their instructions. Code that goes on in the page behind, or
// jumps there, is followed into it; offsets from 4096 on are in that page.
// Invariant: every instruction of a region is in exactly one block; a block ends where control can go elsewhere or others come in, and at the end
// of the page.

import { mapOf } from './code-pattern.ts';
import { LONGEST_WAY, type CodeMemory, type RegionRequest } from './interface.ts';
import type { Handler } from '../handlers.ts';
import { crossHandler, decodeTables } from '../interpreter.ts';
import { HEAT_START, OP, OpFlag, PAGE, SLOT_PAGE_BASE, Seg } from '../layout.ts';
import { CROSS_BYTES, CROSS_DECODED } from '../traces.ts';
import { conditions } from '../../isa/data.ts';
import { findIndirectTargets, type IndirectTargets } from './indirect-targets.ts';
import { readOperationRecord, type OperationRecord } from './operation-record.ts';

/** Places a return of the region may go to without leaving it. */
const RETURN_SITES = 12;
/** Returns from a call, modulo 256, for which a region that has fewer than `WORTH_CALLING` instructions so far goes on behind it. */
const SEEN = 16;
const WORTH_CALLING = 64;
const CONDITIONAL = new Set([...conditions.map(({ name }) => `j${name}`), 'loop', 'loope', 'loopne', 'jcxz']);
const STRINGS = new Set(['movs', 'cmps', 'stos', 'lods', 'scas']);
/** Repeated, these are done as bulk operations where they can be. */
const BULK = new Set(['movs', 'stos']);
/** Operands that Semantics answers for; the others belong to system routines. */
const OPERANDS = new Set([...'EGZAMRIJOXVWUNQS', 'CL', 'DX', '1']);
/** Floating point whose common cases are WebAssembly; their routines are left to the interpreter. */
const FLOATING = /^(sse_|x87$|fldcw$|fnstcw$|fnstsw)/;

/** System routines that translated code calls; behind them control goes on with the next instruction or where F.rip says. */
const CALLED = new Set([
  ...['pause', 'rdtsc', 'rdtscp', 'cli', 'sti', 'pushf', 'popf', 'mov_from_cr', 'swapgs', 'cpuid', 'rdmsr', 'invlpg'],
  ...['in_imm', 'in_dx', 'out_imm', 'out_dx', 'rdfsbase', 'rdgsbase', 'xgetbv'],
]);
/** Routines behind which control is always elsewhere. */
const TRANSFERS = new Set(['int_n', 'iret', 'syscall', 'sysret', 'sysenter', 'sysexit']);
/** Whether the meaning of an instruction is a routine that translated code calls. */
export const callsRoutine = ({ instruction: { routine } }: Handler): boolean =>
  routine !== undefined && (CALLED.has(routine) || TRANSFERS.has(routine));

/** How control goes on behind an instruction. */
export type Onward = 'next' | 'conditional' | 'jump' | 'call' | 'indirect' | 'return';

export interface RegionInstruction {
  readonly record: OperationRecord;
  readonly handler: Handler;
  readonly onward: Onward;
  /** Its bytes if it begins in one page and ends in the next; null for all others. */
  readonly spanning: Uint8Array | null;
  /** Its memory is accessed with care: see careful-places.ts. */
  readonly careful: boolean;
}
export interface Block {
  readonly instructions: RegionInstruction[];
  /** Blocks of the region that control can go to, once for each way there. */
  readonly successors: number[];
  /** The block (one of `successors`, too) behind a call that may leave the region: control comes back to it; else null. */
  readonly behindCall: number | null;
}
export interface Region {
  /** ModeKey of its code. */
  readonly key: number;
  /** Block 0 is the entry. */
  readonly blocks: readonly Block[];
  /** Block that begins at a page offset. */
  readonly blockAt: ReadonlyMap<number, number>;
  /** For each return, indirect jump and indirect call (by its page offset) the places of the region it may go to. */
  readonly targets: ReadonlyMap<number, readonly number[]>;
}

function onwardOf(h: Handler): Onward {
  const { name, routine } = h.instruction;
  if (routine !== undefined) return TRANSFERS.has(routine) ? 'indirect' : 'next';
  if (CONDITIONAL.has(name)) return 'conditional';
  const direct = h.operands[0]?.kind === 'J';
  if (name === 'jmp') return direct ? 'jump' : 'indirect';
  if (name === 'call') return direct ? 'call' : 'indirect';
  return name === 'ret' ? 'return' : 'next';
}

/** Whether the translator takes an instruction in the code of a width. */
export function isTranslated(h: Handler | undefined, record: OperationRecord, mode: 32 | 64): boolean {
  if (!h) return false;
  const { routine, name } = h.instruction;
  if (callsRoutine(h)) return !(mode === 32 && h.general);
  if (routine !== undefined && !FLOATING.test(routine)) return false;
  if (!h.operands.every((o) => OPERANDS.has(o.kind))) return false;
  const onward = onwardOf(h);
  const odd = mode === 32 ? OpFlag.OpSize16 : 0;
  if (onward !== 'next' && record.flags & odd) return false;
  if (STRINGS.has(name) && record.flags & (OpFlag.Rep | OpFlag.Repne))
    return BULK.has(name) && !h.general && (record.flags & (mode === 32 ? OpFlag.Addr16 : OpFlag.Addr32)) === 0;
  if (name === 'mov' && h.operands[0]?.kind === 'S') return false;
  return !(mode === 32 && h.general && h.memory && record.seg === Seg.CS);
}

interface Found {
  instruction: RegionInstruction;
  /** Page offsets inside the page, decoded or not. */
  next: number;
  target: number | null;
  /** Where an indirect jump or call may go. */
  guesses: readonly number[];
  /** A call: control comes back to `next`. */
  comesBack: boolean;
}

/** Reads what is decoded at a place and the page behind it. */
class Pages {
  readonly #mem: CodeMemory;
  readonly first: number;
  readonly #second: number;
  readonly maps: readonly number[];
  /** Offsets end here. */
  readonly end: number;

  constructor(mem: CodeMemory, { frame, second, key }: RegionRequest) {
    this.#mem = mem;
    this.first = mapOf(mem, frame, key);
    this.#second = mapOf(mem, second, key);
    this.maps = this.#second === 0 ? [this.first] : [this.first, this.#second];
    this.end = this.maps.length * PAGE;
  }
  /** How often the record at an offset was jumped to, modulo 256; 0 if there is none. */
  jumps(offset: number): number {
    const { u32, view } = this.#mem;
    const map = offset < PAGE ? this.first : this.#second;
    const address = offset < this.end ? u32[(map >> 2) + (offset % PAGE)]! : 0;
    return address === 0 ? 0 : (view.getUint8(address + OP.heat) - (u32[HEAT_START >> 2]! >>> 24)) & 255;
  }
  /** The instruction at an offset, with everything that is relative to a page relative to the first; null if none is decoded there. */
  at(offset: number): { record: OperationRecord; handler: Handler; spanning: Uint8Array | null } | null {
    const { u32, view } = this.#mem;
    const map = offset < PAGE ? this.first : this.#second;
    const address = u32[(map >> 2) + (offset % PAGE)]!;
    if (address === 0) return null;
    const handlers = decodeTables().all;
    const record = readOperationRecord(view, address);
    if (record.handler !== crossHandler()) {
      const handler = handlers[record.handler - 1];
      if (!handler) return null;
      if (offset >= PAGE) {
        record.pageOffset += PAGE;
        if (handler.operands[0]?.kind === 'J') record.imm += BigInt(PAGE);
        if (record.base === SLOT_PAGE_BASE) record.disp += PAGE;
      }
      return { record, handler, spanning: null };
    }
    // decoded when it was last executed: that its bytes are still these is checked each time
    if (this.#second === 0 || offset >= PAGE) return null;
    const decoded = readOperationRecord(view, address + CROSS_DECODED);
    const handler = handlers[decoded.handler - 1];
    if (!handler) return null;
    const at = address + CROSS_BYTES;
    const spanning = Uint8Array.from({ length: decoded.length }, (_, n) => view.getUint8(at + n));
    return { record: decoded, handler, spanning };
  }
}

/** The instructions reachable from `entry` within the page and the one behind, by offset. */
function reachable(
  mem: CodeMemory,
  pages: Pages,
  mode: 32 | 64,
  entry: number,
  careful: ReadonlySet<number>,
): Map<number, Found> {
  const found = new Map<number, Found>();
  const waiting = [entry];
  let known: IndirectTargets | null = null;
  while (waiting.length && found.size < LONGEST_WAY) {
    // straight on as far as it goes, then the places jumped to, nearest first seen first
    let at = waiting.shift()!;
    while (at < pages.end && !found.has(at) && found.size < LONGEST_WAY) {
      const here = pages.at(at);
      if (!here || !isTranslated(here.handler, here.record, mode)) break;
      const { record, handler, spanning } = here;
      // routines are handed a record of the executing page
      if ((at >= PAGE || spanning !== null) && callsRoutine(handler)) break;
      if (spanning !== null && at === entry) break;
      const onward = onwardOf(handler);
      // functions in the page behind are left to themselves
      const end = onward === 'call' && at < PAGE ? PAGE : pages.end;
      const inside = record.imm >= 0n && record.imm < BigInt(end);
      const direct = onward === 'conditional' || onward === 'jump' || onward === 'call';
      const target = direct && inside ? Number(record.imm) : null;
      const next = at + record.length;
      const { name, routine } = handler.instruction;
      let guesses: readonly number[] = [];
      if (onward === 'indirect' && routine === undefined) {
        known ??= findIndirectTargets(mem, pages.maps);
        guesses = name === 'call' ? known.callsFrom(at).filter((to) => to !== next) : known.jumpsFrom(at);
      }
      const comesBack =
        name === 'call' &&
        (target !== null || guesses.length > 0 || (found.size < WORTH_CALLING && pages.jumps(next) >= SEEN));
      const instruction = { record, handler, onward, spanning, careful: careful.has(at) };
      found.set(at, { instruction, next, target, guesses, comesBack });
      if (target !== null) waiting.push(target);
      waiting.push(...guesses);
      if (comesBack) waiting.push(next);
      if (onward !== 'next' && onward !== 'conditional') break;
      at = next;
    }
  }
  return found;
}

/** For each return the sites behind calls of what it may be the end of. */
function findReturnSites(found: ReadonlyMap<number, Found>): Map<number, number[]> {
  const sites = new Map<number, number[]>();
  const calls = new Map<number, number[]>();
  for (const { next, target, guesses, comesBack } of found.values())
    if (comesBack && found.has(next))
      for (const callee of target === null ? guesses : [target])
        if (found.has(callee)) calls.set(callee, [...(calls.get(callee) ?? []), next]);
  for (const [callee, behind] of calls) {
    const seen = new Set<number>();
    const waiting = [callee];
    while (waiting.length) {
      const at = waiting.pop()!;
      const here = found.get(at);
      if (!here || seen.has(at)) continue;
      seen.add(at);
      const { onward } = here.instruction;
      if (onward === 'return') {
        const list = sites.get(at) ?? [];
        for (const site of behind) if (!list.includes(site) && list.length < RETURN_SITES) list.push(site);
        sites.set(at, list);
      }
      if (here.comesBack || onward === 'next' || onward === 'conditional') waiting.push(here.next);
      if (onward === 'jump' || onward === 'conditional') if (here.target !== null) waiting.push(here.target);
      if (onward === 'indirect' && !here.comesBack) waiting.push(...here.guesses);
    }
  }
  return sites;
}

/** The region that begins at a place; null if not even the first instruction can be translated. */
export function findRegion(mem: CodeMemory, mode: 32 | 64, request: RegionRequest): Region | null {
  const pages = new Pages(mem, request);
  if (pages.first === 0) return null;
  const entry = mem.view.getUint16(request.record + OP.pageOffset, true);
  const found = reachable(mem, pages, mode, entry, new Set(request.careful));
  if (!found.has(entry)) return null;
  const targets: Map<number, readonly number[]> = findReturnSites(found);
  const leaders = new Set([entry]);
  for (const [at, { instruction, next, target, guesses }] of found) {
    if (target !== null) leaders.add(target);
    for (const guess of guesses) leaders.add(guess);
    if (guesses.length > 0)
      targets.set(
        at,
        guesses.filter((guess) => found.has(guess)),
      );
    if (instruction.onward !== 'next' || (at < PAGE && next >= PAGE)) leaders.add(next);
  }
  const blockAt = new Map<number, number>();
  for (const at of [entry, ...[...leaders].filter((o) => o !== entry).toSorted((a, b) => a - b)])
    if (found.has(at)) blockAt.set(at, blockAt.size);
  const blocks = [...blockAt.keys()].map((start): Block => {
    const instructions: RegionInstruction[] = [];
    const successors: number[] = [];
    let behindCall: number | null = null;
    const edge = (to: number | null): void => {
      const block = to === null ? undefined : blockAt.get(to);
      if (block !== undefined) successors.push(block);
    };
    for (let at = start; ;) {
      const here = found.get(at)!;
      instructions.push(here.instruction);
      const { onward } = here.instruction;
      if (onward === 'next' && found.has(here.next) && !blockAt.has(here.next)) {
        at = here.next;
        continue;
      }
      edge(here.target);
      if (onward === 'next' || onward === 'conditional') edge(here.next);
      for (const to of targets.get(at) ?? []) edge(to);
      if (here.comesBack && found.has(here.next) && !(here.target !== null && blockAt.has(here.target))) {
        behindCall = blockAt.get(here.next) ?? null;
        edge(here.next);
      }
      break;
    }
    return { instructions, successors, behindCall };
  });
  return { key: request.key, blocks, blockAt, targets };
}
