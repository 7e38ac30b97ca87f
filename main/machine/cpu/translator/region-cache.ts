// The regions that exist. A module's functions are kept with the patterns of what they were made from (code-pattern.ts); each can be entered from the
// records of any number of pages that have the same bytes: a copied or re-read page, another guest with the same kernel, a program started again.
// Invariant: a record's handler field holds a slot exactly as long as none of the instructions its region was made from has been overwritten or
// forgotten on that page.

import type { HostMemory } from '../host-memory.ts';
import { FIRST_REGION, OP, PAGE, RAM_BASE, REGION_ORIGINALS, REGION_SECOND, REGION_SLOTS } from '../layout.ts';
import { forgetTarget } from './chain.ts';
import { firstByte, mapOf, matches, placeOf, recordAt, spansPages, type CodePattern } from './code-pattern.ts';
import type { RegionPlace } from './interface.ts';

/**
 * What a module costs besides its code, in bytes (37 KiB on Node 24), and machine code with metadata for each byte of WebAssembly: an estimate from
 * above, since V8 compiles a function only when it is called, and optimises it only when it is called often.
 */
const MODULE_BYTES = 37 * 1024;
const BYTES_PER_CODE_BYTE = 8;
/** Part of the limit that modules may take whose code is nowhere any more. */
const UNUSED_PART = 1 / 8;

/** A function of a module, wherever it is entered. */
interface Template {
  readonly pattern: CodePattern;
  readonly careful: readonly number[];
  readonly name: string;
  readonly module: LoadedModule;
}
/** A template in a page. */
interface Region {
  readonly slot: number;
  readonly request: RegionPlace;
  readonly template: Template;
  /** Machine frames it has code in. */
  readonly frames: ReadonlySet<number>;
}
interface LoadedModule {
  readonly table: WebAssembly.Table;
  readonly exported: WebAssembly.Exports;
  readonly bytes: number;
  readonly templates: Template[];
  readonly regions: Set<Region>;
}
/** A function to keep. */
export interface Made {
  readonly name: string;
  readonly pattern: CodePattern;
  /** Page offsets that were taken care of (RegionRequest.careful). */
  readonly careful: readonly number[];
  /** Where to enter it at once. */
  readonly request: RegionPlace | null;
}

export class RegionCache {
  readonly #mem: HostMemory;
  readonly #limit: number;
  /** Those that were used longest ago first. */
  readonly #modules = new Set<LoadedModule>();
  /** By placeOf; those with most instructions first. */
  readonly #places = new Map<number, Template[]>();
  readonly #frames = new Map<number, Set<Region>>();
  readonly #free: number[] = [];
  #next = FIRST_REGION;
  #unused = 0;
  /** Estimated bytes of all modules that are alive. */
  bytes = 0;
  /** Since the host started: regions entered from new code, and from code that was there; regions that died with their page's code; modules thrown away. */
  made = 0;
  reused = 0;
  invalidated = 0;
  evicted = 0;

  /** @param limit bytes of translated code and what belongs to it; beyond it modules are thrown away. */
  constructor(mem: HostMemory, limit: number) {
    this.#mem = mem;
    this.#limit = limit;
  }

  /** Regions that can be entered now. */
  get live(): number {
    return this.#next - FIRST_REGION - this.#free.length;
  }

  /** Regions begin on the frame's page. */
  isEntered(frame: number): boolean {
    return this.#frames.has(frame);
  }

  /** The record is still what was decoded at its place, in the requested mode, and enters no region. */
  isCurrent({ record, frame, key }: RegionPlace): boolean {
    const { u16, u32 } = this.#mem;
    const map = mapOf(this.#mem, frame, key);
    if (map === 0) return false;
    const handler = u16[(record + OP.handler) >> 1]!;
    return u32[(map >> 2) + u16[(record + OP.pageOffset) >> 1]!] === record && handler !== 0 && handler < FIRST_REGION;
  }

  /** Whether a place lies inside a region that can be entered now. */
  covers({ record, frame, key }: RegionPlace): boolean {
    const offset = this.#mem.u16[(record + OP.pageOffset) >> 1]!;
    for (const { template, request } of this.#frames.get(frame) ?? [])
      if (request.frame === frame && template.pattern.key === key && includes(template.pattern.offsets, offset))
        return true;
    return false;
  }

  /** Keeps the functions of a module, and makes them what their records enter. */
  add(table: WebAssembly.Table, exported: WebAssembly.Exports, functions: readonly Made[], codeBytes: number): void {
    const bytes = MODULE_BYTES + codeBytes * BYTES_PER_CODE_BYTE;
    const module: LoadedModule = { table, exported, bytes, templates: [], regions: new Set() };
    this.#modules.add(module);
    this.bytes += bytes;
    this.#unused += bytes;
    for (const { name, pattern, careful, request } of functions) {
      const template: Template = { pattern, careful, name, module };
      module.templates.push(template);
      const place = placeOf(pattern.key, pattern.entry, firstByte(pattern));
      const there = this.#places.get(place);
      if (!there) this.#places.set(place, [template]);
      else {
        there.push(template);
        there.sort((a, b) => b.pattern.offsets.length - a.pattern.offsets.length);
      }
      if (request && this.isCurrent(request) && this.#enter(template, request)) this.made++;
    }
    this.#makeRoom(module);
  }

  /**
   * Lets a record enter code that was made from the same bytes, if there is any.
   * @param decode writes the record at an offset of the place (and what follows it)
   */
  reuse(request: RegionPlace, decode: (offset: number) => void): boolean {
    const { u8, u16 } = this.#mem;
    const { frame, key } = request;
    const entry = u16[(request.record + OP.pageOffset) >> 1]!;
    const there = this.#places.get(placeOf(key, entry, u8[RAM_BASE + frame * PAGE + entry]!));
    if (!there) return false;
    for (const template of there) {
      if (!matches(this.#mem, request, template.pattern)) continue;
      const { offsets } = template.pattern;
      const decoded = (o: number): boolean => recordAt(this.#mem, request, o) !== 0;
      for (const o of offsets) if (!decoded(o)) decode(o);
      if (!this.isCurrent(request) || !offsets.every(decoded)) return false;
      if (!this.#enter(template, request)) return false;
      this.reused++;
      this.#modules.delete(template.module);
      this.#modules.add(template.module);
      return true;
    }
    return false;
  }

  /** False if there is no slot left. */
  #enter(template: Template, request: RegionPlace): boolean {
    const { module } = template;
    const slot = this.#free.pop() ?? (this.#next < REGION_SLOTS ? this.#next++ : 0);
    if (slot === 0) return false;
    const { table } = module;
    if (table.length <= slot) table.grow(Math.max(1024, slot + 1 - table.length));
    table.set(slot, module.exported[template.name]);
    const spans = spansPages(template.pattern);
    const frames = new Set(spans ? [request.frame, request.second] : [request.frame]);
    const region: Region = { slot, request, template, frames };
    const { u16, u32 } = this.#mem;
    const handler = (request.record + OP.handler) >> 1;
    u32[(REGION_SECOND >> 2) + slot] = spans ? RAM_BASE + request.second * PAGE : 0;
    u16[(REGION_ORIGINALS >> 1) + slot] = u16[handler]!;
    u16[handler] = slot;
    if (module.regions.size === 0) this.#unused -= module.bytes;
    module.regions.add(region);
    for (const frame of frames) {
      this.#mem.code.watch(frame);
      const here = this.#frames.get(frame);
      if (here) here.add(region);
      else this.#frames.set(frame, new Set([region]));
    }
    return true;
  }

  /** Throws modules away until the rest is within the limits: first what is entered from nowhere. */
  #makeRoom(newest: LoadedModule): void {
    for (const module of this.#modules) {
      if (this.bytes <= this.#limit && this.#unused <= this.#limit * UNUSED_PART) return;
      if (module.regions.size === 0 && module !== newest) this.#evict(module);
    }
    for (const module of this.#modules) {
      if (this.bytes <= this.#limit) return;
      if (module !== newest) this.#evict(module);
    }
  }
  #evict(module: LoadedModule): void {
    this.evicted++;
    for (const region of [...module.regions]) this.#drop(region);
    for (const template of module.templates) this.#forget(template);
    this.#modules.delete(module);
    this.bytes -= module.bytes;
    this.#unused -= module.bytes;
  }

  /** No place enters the code anew. */
  #forget(template: Template): void {
    const { pattern } = template;
    const place = placeOf(pattern.key, pattern.entry, firstByte(pattern));
    const rest = (this.#places.get(place) ?? []).filter((t) => t !== template);
    if (rest.length > 0) this.#places.set(place, rest);
    else this.#places.delete(place);
  }
  /** Nothing enters the region any more; one that is running leaves by itself. */
  #drop(region: Region): void {
    const { slot, request, template, frames } = region;
    const { module } = template;
    const { u16 } = this.#mem;
    const handler = (request.record + OP.handler) >> 1;
    // an overwritten record has lost its handler already
    if (u16[handler] === slot) u16[handler] = u16[(REGION_ORIGINALS >> 1) + slot]!;
    forgetTarget(this.#mem, RAM_BASE + request.frame * PAGE + template.pattern.entry, slot);
    module.table.set(slot, null);
    this.#free.push(slot);
    for (const frame of frames) {
      const here = this.#frames.get(frame)!;
      here.delete(region);
      if (here.size === 0) this.#frames.delete(frame);
    }
    module.regions.delete(region);
    if (module.regions.size === 0) this.#unused += module.bytes;
  }

  /**
   * The regions with the instruction at an offset of a frame that took no care of it are not entered any more, nor is their code entered from
   * elsewhere anew.
   * @returns where they were entered
   */
  retire(frame: number, offset: number): RegionPlace[] {
    const careless = ({ template, request }: Region): boolean =>
      !template.careful.includes(frame === request.frame ? offset : offset + PAGE);
    const those = [...(this.#frames.get(frame) ?? [])].filter((r) => isMadeFrom(r, frame, offset) && careless(r));
    for (const region of those) {
      this.#drop(region);
      this.#forget(region.template);
    }
    return those.map(({ request }) => request);
  }
  /** The instruction at an offset of a frame changes: regions made from it die. */
  recordGone(frame: number, offset: number): void {
    const here = this.#frames.get(frame);
    if (!here) return;
    for (const region of [...here]) {
      if (isMadeFrom(region, frame, offset)) {
        this.invalidated++;
        this.#drop(region);
      }
    }
  }
  pageGone(frame: number): void {
    const here = this.#frames.get(frame);
    if (!here) return;
    for (const region of [...here]) {
      this.invalidated++;
      this.#drop(region);
    }
  }
  everythingGone(): void {
    for (const frame of [...this.#frames.keys()]) this.pageGone(frame);
  }
}

function isMadeFrom({ template, request }: Region, frame: number, offset: number): boolean {
  const { offsets } = template.pattern;
  return (
    (frame === request.frame && includes(offsets, offset)) ||
    (frame === request.second && includes(offsets, offset + PAGE))
  );
}
/** In an ascending list. */
function includes(offsets: Uint16Array, wanted: number): boolean {
  let [from, to] = [0, offsets.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (offsets[middle]! < wanted) from = middle + 1;
    else to = middle;
  }
  return offsets[from] === wanted;
}
