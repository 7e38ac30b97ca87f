// The translating tier in the run loop: from a hot place to a region that the interpreter enters.
// Invariant: whether, when and what is translated never changes what a guest computes, how many instructions it retires, or when an
// interrupt reaches it: a region is entered and left only between two instructions and hands the fuel back exactly.

import { CodePage, type CodeListener } from '../code-cache.ts';
import type { CpuCore } from '../core.ts';
import { decodeTables } from '../interpreter.ts';
import {
  F,
  HEAT_START,
  OP,
  OP_BYTES,
  PAGE,
  PAGE_CODE,
  RAM_BASE,
  SLOT_PAGE_BASE,
  STATE,
  TLB_ADDEND,
  TLB_ENTRIES,
  TLB_TAG_EXEC,
} from '../layout.ts';
import type { Archive } from './archive.ts';
import { BackgroundTranslator, type Translation } from './background.ts';
import { isTranslated } from './blocks.ts';
import { belongsToCall } from './call-places.ts';
import { frameAt, mapOf, patternOf, recordAt } from './code-pattern.ts';
import { CarefulPlaces } from './careful-places.ts';
import { Hotness } from './hotness.ts';
import {
  LONGEST_WAY,
  type RegionFunction,
  type RegionModule,
  type RegionPlace,
  type RegionRequest,
  type TranslateRegions,
} from './interface.ts';
import { readOperationRecord } from './operation-record.ts';
import { RegionCache, type Made } from './region-cache.ts';

export interface TierOptions {
  /** Jumps to a place before it is translated. */
  readonly threshold: number;
  /** Times `threshold` more jumps to a place inside another's region before it gets one of its own. */
  readonly patience: number;
  /** Bytes of translated code with its metadata that a host may hold. */
  readonly cacheBytes: number;
  /** Places that are translated together, as one module. */
  readonly batch: number;
  /** Translate in another thread and go on meanwhile, or at once. */
  readonly background: boolean;
}
export const TIER_DEFAULTS: TierOptions = {
  threshold: 2064,
  patience: 1,
  cacheBytes: 256 * 1024 * 1024,
  batch: 16,
  background: true,
};
/**
 * Most instructions for which generated code runs without a return: V8 replaces a function by its optimised version when it is called
 * anew, not inside a loop.
 */
export const LONGEST_RUN = 200_000;

/**
 * Bytes of the arena that decoding what a page and the one behind it lack takes at most: a record and a trace's end for each of their bytes, and
 * room for one more trace.
 */
const DECODING = 4 * PAGE * OP_BYTES + PAGE;

/** Times HEAT_STEP more jumps before a refused place is tried again. */
const PATIENCE = 64;

/** Plain numbers, since the host started; may be sent to another thread. */
export interface TierStatistics {
  /** Estimated bytes of translated code and its metadata that are held now. */
  bytes: number;
  /** That they may be at most. */
  limit: number;
  /** Regions that can be entered now. */
  regions: number;
  /** Regions entered after a translation of theirs. */
  made: number;
  /** Regions entered without one: their bytes had been translated on another page, for another guest, or by an earlier run. */
  reused: number;
  /** Regions that died with the code they were made from. */
  invalidated: number;
  /** Regions given up because one of their instructions was left to the interpreter again and again: see careful-places.ts. */
  anew: number;
  /** Modules thrown away for want of room. */
  evicted: number;
  /** Places the translator could not take, and was not asked about again. */
  refused: number;
  /** Places among them that the translator failed at: its own mistake. They stay interpreted. */
  failed: number;
  /** Modules translated by this run, and taken from the archive of earlier ones. */
  modules: number;
  loaded: number;
  /** Guest instructions translated by this run, and bytes of WebAssembly they became. */
  instructions: number;
  codeBytes: number;
  /** ms spent translating and validating, in whatever thread; and the longest translation in one go. */
  milliseconds: number;
  longest: number;
  /** ms that guests waited for the tier in all, and the longest such wait. (V8 compiles what is called first on top of that.) */
  stalled: number;
  longestStall: number;
}

/** What the interpreter of one code width shares with translated code. */
export interface Shared {
  readonly table: WebAssembly.Table;
  readonly env: Record<string, WebAssembly.ImportValue>;
}

export class Tier implements CodeListener {
  readonly #core: CpuCore;
  readonly #shared: (mode: 32 | 64) => Shared;
  readonly #translate: TranslateRegions;
  readonly #options: TierOptions;
  readonly #hotness: Hotness;
  readonly #cache: RegionCache;
  readonly #careful = new CarefulPlaces();
  readonly #queue = new Map<number, RegionRequest>();
  readonly #background: BackgroundTranslator | null;
  /** Records the other thread is at work on. */
  readonly #underway = new Set<number>();
  /** Records the translator refused, and how often they may be heated before it is asked again: code around them may be known by then. */
  readonly #refused = new Map<number, number>();
  /** Records inside regions of other places, and how often they may be hot again before they begin a region. */
  readonly #covered = new Map<number, number>();
  /** Modules of the archive that have been loaded. */
  readonly #known = new Set<WebAssembly.Module>();
  #failed = 0;
  #anew = 0;
  #loaded = 0;
  #modules = 0;
  #instructions = 0;
  #codeBytes = 0;
  #milliseconds = 0;
  #longest = 0;
  #stalled = 0;
  #longestStall = 0;

  constructor(
    core: CpuCore,
    translate: TranslateRegions,
    shared: (mode: 32 | 64) => Shared,
    options: Partial<TierOptions> = {},
  ) {
    this.#core = core;
    this.#translate = translate;
    this.#shared = shared;
    this.#options = { ...TIER_DEFAULTS, ...options };
    this.#hotness = new Hotness(this.#options.threshold);
    this.#cache = new RegionCache(core.mem, this.#options.cacheBytes);
    this.#background = this.#options.background ? new BackgroundTranslator(core.mem, (t) => this.#delivered(t)) : null;
    core.mem.u32[HEAT_START >> 2] = this.#hotness.start << 24;
    core.mem.code.listener = this;
  }

  /** Does something the guest waits for. */
  #stall<T>(work: () => T): T {
    const start = performance.now();
    const result = work();
    const milliseconds = performance.now() - start;
    this.#stalled += milliseconds;
    this.#longestStall = Math.max(this.#longestStall, milliseconds);
    return result;
  }

  /** From generated code: HEAT_STEP more jumps went to a record of the page that runs now. */
  hot(record: number): void {
    const { i32 } = this.#core.mem;
    const key = i32[(STATE + F.mode) >> 2]!;
    const place = { record, frame: i32[(STATE + F.codeFrame) >> 2]!, key, second: this.#pageBehind(key) };
    this.#watch(place);
    if (this.#reuse(place)) return;
    // the end of every budget is interpreted: what it goes through inside of regions is not hot for that
    if (i32[(STATE + F.fuel) >> 2]! <= LONGEST_WAY && this.#covered.has(record)) return;
    const patience = this.#refused.get(record);
    if (patience !== undefined) {
      if (patience > 0) this.#refused.set(record, patience - 1);
      else this.#refused.delete(record);
      return;
    }
    // still hot while it waits for others to be translated with: it waits no longer
    if (this.#queue.has(record)) {
      this.translateQueue();
      return;
    }
    if (this.#underway.has(record) || !this.#hotness.heat(record)) return;
    if (!this.#cache.isCurrent(place)) return;
    const request = { ...place, alone: this.#goesAlone(place), careful: [] };
    if (this.#leaveToOther(request)) return;
    this.#queue.set(record, request);
    // a place that is refused leaves another in the queue
    while (this.#queue.size >= this.#options.batch) this.translateQueue();
  }

  /** From generated code: a region has left a record (of the page that runs now) to the interpreter 256 times more. */
  left(record: number): void {
    const { i32, u16 } = this.#core.mem;
    const frame = i32[(STATE + F.codeFrame) >> 2]!;
    const offset = u16[(record + OP.pageOffset) >> 1]!;
    if (!this.#careful.note(frame, offset)) return;
    const retired = this.#cache.retire(frame, offset);
    this.#anew += retired.length;
    for (const place of retired)
      if (!this.#underway.has(place.record)) this.#queue.set(place.record, { ...place, alone: true, careful: [] });
    this.translateQueue();
  }

  /** Records of its pages are known by their address from now on. */
  #watch({ frame, second }: RegionPlace): void {
    const { code } = this.#core.mem;
    code.watch(frame);
    if (second >= 0) code.watch(second);
  }
  /** Machine frame of the decoded page that follows the executing one in linear addresses, as far as the TLB knows; else -1. */
  #pageBehind(key: number): number {
    const { view, u32 } = this.#core.mem;
    const long = (key & 2) !== 0;
    const here = view.getBigUint64(STATE + SLOT_PAGE_BASE, true);
    const page = BigInt.asUintN(long ? 64 : 32, here + BigInt(PAGE));
    const low = Number(page & 0xffff_ffffn);
    const entry = u32[(STATE + F.tlb) >> 2]! + ((low >>> 7) & ((TLB_ENTRIES - 1) << 5));
    const tag = long
      ? view.getBigUint64(entry + TLB_TAG_EXEC, true)
      : BigInt(view.getUint32(entry + TLB_TAG_EXEC, true));
    if (tag !== page) return -1;
    const frame = ((low + view.getInt32(entry + TLB_ADDEND, true) - RAM_BASE) >>> 0) >>> 12;
    return mapOf(this.#core.mem, frame, key) === 0 ? -1 : frame;
  }

  /** Whether a place needs a region of its own even if it lies inside another. */
  #goesAlone({ record, frame }: RegionPlace): boolean {
    if ((this.#covered.get(record) ?? this.#options.patience) === 0) return true;
    const { mem } = this.#core;
    return belongsToCall(mem, mem.u32[(PAGE_CODE >> 2) + frame]!, mem.u16[(record + OP.pageOffset) >> 1]!);
  }
  /** A place inside a region waits longer: mostly control comes to it only until that region is entered. */
  #leaveToOther(request: RegionRequest): boolean {
    if (request.alone || !this.#cache.covers(request)) return false;
    this.#cover(request.record);
    return true;
  }
  #cover(record: number): void {
    this.#covered.set(record, (this.#covered.get(record) ?? this.#options.patience) - 1);
  }

  /** Code that was made from the same bytes elsewhere, or before they were last changed. */
  #reuse(request: RegionPlace): boolean {
    if (!this.#cache.isCurrent(request)) return false;
    const { u32 } = this.#core.mem;
    // decoding must not begin another segment, which might throw away what is being put together, or what jumps here
    if (u32[CodePage.next >> 2]! + DECODING > u32[CodePage.end >> 2]!) return false;
    const decode = (offset: number): void => {
      const { env } = this.#shared((request.key & 2) !== 0 ? 64 : 32);
      const frame = frameAt(request, offset);
      (env.decode_trace as (page: number, offset: number, map: number) => number)(
        ...([RAM_BASE + frame * PAGE, offset % PAGE, u32[(PAGE_CODE >> 2) + frame]!] as const),
      );
    };
    if (this.#cache.reuse(request, decode)) return true;
    const archive = this.#background?.archive;
    if (!archive || this.#careful.has(request.frame) || !this.#stall(() => this.#load(archive, request))) return false;
    return this.#cache.reuse(request, decode);
  }
  /** Loads a module of an earlier run that has code for a place. */
  #load(archive: Archive, request: RegionPlace): boolean {
    const { mem } = this.#core;
    const entry = mem.u16[(request.record + OP.pageOffset) >> 1]!;
    const known = archive.find(mem, request, entry, mem.u8[RAM_BASE + request.frame * PAGE + entry]!);
    // it has been here and was evicted, or there is no room for it
    if (!known || this.#known.has(known.module)) return false;
    this.#known.add(known.module);
    const { table, env } = this.#shared(known.mode);
    const instance = new WebAssembly.Instance(known.module, { env });
    const functions = known.functions.map((f) => ({ ...f, careful: [], request: null }));
    this.#cache.add(table, instance.exports, functions, known.codeBytes);
    this.#loaded++;
    return true;
  }

  /** Translates what waits. */
  translateQueue(): void {
    this.#stall(() => this.#translateQueue());
  }
  #translateQueue(): void {
    const requests = [...this.#queue.values()]
      .filter((request) => this.#cache.isCurrent(request) && !this.#leaveToOther(request))
      .map((request) => ({ ...request, careful: this.#carefulOf(request) }));
    for (const request of requests) this.#watch(request);
    this.#queue.clear();
    for (const mode of [32, 64] as const) {
      const those = requests.filter(({ key }) => (key & 2) === (mode === 64 ? 2 : 0));
      if (those.length === 0) continue;
      if (this.#background) {
        for (const { record } of those) this.#underway.add(record);
        this.#background.order(mode, those);
      } else this.#compile(mode, those);
    }
  }

  #carefulOf({ frame, second }: RegionPlace): number[] {
    const behind = second < 0 ? [] : this.#careful.of(second);
    return [...this.#careful.of(frame), ...behind.map((offset) => offset + PAGE)];
  }

  /** Between runs of generated code: takes what another thread has translated. */
  poll(): void {
    const background = this.#background;
    if (background && (background.outstanding > 0 || background.expecting)) this.#stall(() => background.poll());
  }
  /** Translations another thread still has to do. */
  get outstanding(): number {
    return this.#background?.outstanding ?? 0;
  }
  #delivered({ order, mode, requests, made, current, milliseconds, error }: Translation): void {
    for (const { record } of requests) this.#underway.delete(record);
    if (error !== null) {
      this.#giveUp(mode, requests, error);
      return;
    }
    this.#note(requests, made, milliseconds);
    const alive = current.filter(({ request }) => this.#cache.isCurrent(request));
    const kept = made && alive.length > 0 ? this.#keep(mode, made.module, alive, made.codeBytes) : [];
    if (made)
      this.#background!.keep(
        order,
        kept.map(({ name, pattern }) => ({ name, pattern })),
      );
  }
  /** The translator failed at one of these places: each is tried alone, and the one is interpreted from now on. */
  #giveUp(mode: 32 | 64, requests: readonly RegionRequest[], error: string): void {
    const [only, ...others] = requests.filter((request) => this.#cache.isCurrent(request));
    if (!only) return;
    if (others.length > 0) {
      for (const request of [only, ...others]) {
        this.#underway.add(request.record);
        this.#background!.order(mode, [request]);
      }
      return;
    }
    if (process.env.BULKHEAD_STRICT !== undefined) throw new Error(`The translator failed: ${error}`);
    this.#refused.set(only.record, Infinity);
    if (this.#failed++ === 0) process.emitWarning(`Guest code stays interpreted: ${error}`, 'TranslatorWarning');
  }
  /** Remembers what was refused; what follows an instruction that is not translated is as hot as it is, and has not been jumped to. */
  #note(
    requests: readonly RegionRequest[],
    made: Pick<RegionModule, 'functions' | 'covered'> | null,
    milliseconds: number,
  ): void {
    const done = new Set(made?.functions.map(({ request }) => request.record));
    for (const { record } of made?.covered ?? []) {
      done.add(record);
      this.#cover(record);
    }
    for (const request of requests) {
      if (done.has(request.record)) continue;
      this.#refused.set(request.record, PATIENCE);
      const behind = this.#cache.isCurrent(request) ? this.#behind(request) : null;
      if (behind && !this.#reuse(behind)) this.#queue.set(behind.record, behind);
    }
    this.#milliseconds += milliseconds;
    this.#longest = Math.max(this.#longest, milliseconds);
  }
  /** The place behind an instruction, if it could be entered and nothing is known of it. */
  #behind(request: RegionRequest): RegionRequest | null {
    const { mem } = this.#core;
    const refused = readOperationRecord(mem.view, request.record);
    const handler = decodeTables().all[refused.handler - 1];
    if (isTranslated(handler, refused, (request.key & 2) !== 0 ? 64 : 32)) return null;
    const at = refused.pageOffset + refused.length;
    const record = at < PAGE ? recordAt(mem, request, at) : 0;
    if (record === 0 || this.#refused.has(record) || this.#queue.has(record) || this.#underway.has(record)) return null;
    const behind = { ...request, record, alone: true };
    return this.#cache.isCurrent(behind) ? behind : null;
  }
  #keep(mode: 32 | 64, module: WebAssembly.Module, functions: readonly RegionFunction[], codeBytes: number): Made[] {
    const { table, env } = this.#shared(mode);
    const instance = new WebAssembly.Instance(module, { env });
    const { mem } = this.#core;
    const kept = functions.map(({ name, request, offsets }) => ({
      ...{ name, request, careful: request.careful, pattern: patternOf(mem, request, offsets) },
    }));
    this.#cache.add(table, instance.exports, kept, codeBytes);
    this.#modules++;
    this.#codeBytes += codeBytes;
    for (const { instructions } of functions) this.#instructions += instructions;
    return kept;
  }

  #compile(mode: 32 | 64, requests: readonly RegionRequest[]): void {
    const start = performance.now();
    const made = this.#translate(this.#core, mode, requests);
    if (made) this.#keep(mode, new WebAssembly.Module(made.bytes), made.functions, made.bytes.length);
    this.#note(requests, made, performance.now() - start);
  }

  recordGone(frame: number, offset: number): void {
    this.#cache.recordGone(frame, offset);
  }
  pageGone(frame: number): void {
    this.#cache.pageGone(frame);
    this.#careful.forget(frame);
    this.#background?.forgetPage(frame);
  }
  isValued(frame: number): boolean {
    return this.#cache.isEntered(frame);
  }
  memoryReused(from: number, to: number): void {
    for (const known of [this.#queue, this.#underway, this.#refused, this.#covered, this.#hotness])
      for (const record of known.keys()) if (record >= from && record < to) known.delete(record);
  }
  everythingGone(): void {
    this.#cache.everythingGone();
    this.#queue.clear();
    this.#background?.forget();
    this.#underway.clear();
    this.#refused.clear();
    this.#covered.clear();
    this.#careful.clear();
    this.#hotness.clear();
  }

  statistics(): TierStatistics {
    const { bytes, live, made, reused, invalidated, evicted } = this.#cache;
    return {
      limit: this.#options.cacheBytes,
      ...{ bytes, regions: live, made, reused, invalidated, evicted, refused: this.#refused.size },
      failed: this.#failed,
      anew: this.#anew,
      ...{ modules: this.#modules, loaded: this.#loaded },
      ...{ instructions: this.#instructions, codeBytes: this.#codeBytes },
      ...{ milliseconds: this.#milliseconds, longest: this.#longest },
      ...{ stalled: this.#stalled, longestStall: this.#longestStall },
    };
  }
}
