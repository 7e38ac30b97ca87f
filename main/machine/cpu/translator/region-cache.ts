// The regions that exist: their slots in the interpreter's table, the records that enter them, and how much memory they take.
// Invariant: a record's handler field holds a slot exactly as long as the region in that slot is valid, that is as long as none of the
// instructions it was made from has been overwritten or forgotten.

import { CodePage } from '../code-cache.ts';
import type { HostMemory } from '../host-memory.ts';
import { FIRST_REGION, OP, PAGE_CODE, REGION_ORIGINALS, REGION_SLOTS } from '../layout.ts';
import type { RegionFunction, RegionRequest } from './interface.ts';

/**
 * What a module costs besides its code, in bytes (37 KiB on Node 24), and machine code with metadata for each byte of WebAssembly: an estimate from
 * above, since V8 compiles a function only when it is called, and optimises it only when it is called often.
 */
const MODULE_BYTES = 37 * 1024;
const BYTES_PER_CODE_BYTE = 8;

interface Region {
  readonly slot: number;
  readonly request: RegionRequest;
  readonly offsets: ReadonlySet<number>;
  readonly module: LoadedModule;
}
interface LoadedModule {
  readonly table: WebAssembly.Table;
  readonly bytes: number;
  readonly regions: Set<Region>;
}

export class RegionCache {
  readonly #mem: HostMemory;
  readonly #limit: number;
  /** Oldest first. */
  readonly #modules = new Set<LoadedModule>();
  readonly #frames = new Map<number, Set<Region>>();
  readonly #free: number[] = [];
  #next = FIRST_REGION;
  /** Estimated bytes of all modules that are alive. */
  bytes = 0;
  /** Since the host started: regions made, regions that died with their code, modules thrown away for want of room. */
  made = 0;
  invalidated = 0;
  evicted = 0;

  /** @param limit bytes of translated code and what belongs to it; beyond it the oldest modules are thrown away. */
  constructor(mem: HostMemory, limit: number) {
    this.#mem = mem;
    this.#limit = limit;
  }

  /** Regions that can be entered now. */
  get live(): number {
    return this.#next - FIRST_REGION - this.#free.length;
  }

  /** The record is still what was decoded at its place, in the requested mode, and enters no region. */
  isCurrent({ record, frame, key }: RegionRequest): boolean {
    const { u16, u32 } = this.#mem;
    const map = u32[(PAGE_CODE >> 2) + frame]!;
    if (map === 0 || u32[(map + CodePage.key) >> 2] !== key) return false;
    const handler = u16[(record + OP.handler) >> 1]!;
    return u32[(map >> 2) + u16[(record + OP.pageOffset) >> 1]!] === record && handler !== 0 && handler < FIRST_REGION;
  }

  /** Makes the functions of a module what their records enter. */
  add(
    table: WebAssembly.Table,
    exported: WebAssembly.Exports,
    functions: readonly RegionFunction[],
    codeBytes: number,
  ): void {
    const module: LoadedModule = {
      table,
      bytes: MODULE_BYTES + codeBytes * BYTES_PER_CODE_BYTE,
      regions: new Set(),
    };
    const { u16 } = this.#mem;
    for (const { name, request, offsets } of functions) {
      const slot = this.#free.pop() ?? (this.#next < REGION_SLOTS ? this.#next++ : 0);
      if (slot === 0) break;
      if (table.length <= slot) table.grow(Math.max(1024, slot + 1 - table.length));
      table.set(slot, exported[name]);
      const region: Region = { slot, request, offsets: new Set(offsets), module };
      const handler = (request.record + OP.handler) >> 1;
      u16[(REGION_ORIGINALS >> 1) + slot] = u16[handler]!;
      u16[handler] = slot;
      module.regions.add(region);
      let here = this.#frames.get(request.frame);
      if (!here) this.#frames.set(request.frame, (here = new Set()));
      here.add(region);
      this.made++;
    }
    if (module.regions.size === 0) return;
    this.#modules.add(module);
    this.bytes += module.bytes;
    for (const oldest of this.#modules) {
      if (this.bytes <= this.#limit || oldest === module) break;
      this.evicted++;
      for (const region of [...oldest.regions]) this.#drop(region);
    }
  }

  /** Nothing enters the region any more; one that is running leaves by itself. */
  #drop(region: Region): void {
    const { slot, request, module } = region;
    const { u16 } = this.#mem;
    const handler = (request.record + OP.handler) >> 1;
    // an overwritten record has lost its handler already
    if (u16[handler] === slot) u16[handler] = u16[(REGION_ORIGINALS >> 1) + slot]!;
    module.table.set(slot, null);
    this.#free.push(slot);
    const here = this.#frames.get(request.frame)!;
    here.delete(region);
    if (here.size === 0) this.#frames.delete(request.frame);
    module.regions.delete(region);
    if (module.regions.size > 0) return;
    this.#modules.delete(module);
    this.bytes -= module.bytes;
  }

  /** The instruction at an offset of a frame changes: regions made from it die. */
  recordGone(frame: number, offset: number): void {
    const here = this.#frames.get(frame);
    if (!here) return;
    for (const region of [...here])
      if (region.offsets.has(offset)) {
        this.invalidated++;
        this.#drop(region);
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
