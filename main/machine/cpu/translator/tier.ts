// The translating tier in the run loop: from a hot place to a region that the interpreter enters.
// Invariant: whether, when and what is translated never changes what a guest computes, how many instructions it retires, or when an
// interrupt reaches it: a region is entered and left only between two instructions and hands the fuel back exactly.

import type { CodeListener } from '../code-cache.ts';
import type { CpuCore } from '../core.ts';
import { F, HEAT_START, STATE } from '../layout.ts';
import { Hotness } from './hotness.ts';
import { BackgroundTranslator, type Translation } from './background.ts';
import type { RegionFunction, RegionRequest, TranslateRegions } from './interface.ts';
import { RegionCache } from './region-cache.ts';

export interface TierOptions {
  /** Jumps to a place before it is translated. */
  readonly threshold: number;
  /** Bytes of translated code with its metadata that a host may hold. */
  readonly cacheBytes: number;
  /** Places that are translated together, as one module. */
  readonly batch: number;
  /** Translate in another thread and go on meanwhile, or at once. */
  readonly background: boolean;
}
export const TIER_DEFAULTS: TierOptions = {
  threshold: 2048,
  cacheBytes: 256 * 1024 * 1024,
  batch: 16,
  background: true,
};
/**
 * Most instructions for which generated code runs without a return: V8 replaces a function by its optimised version when it is called
 * anew, not inside a loop.
 */
export const LONGEST_RUN = 200_000;

/** Times HEAT_STEP more jumps before a refused place is tried again. */
const PATIENCE = 64;

export interface TierStatistics {
  /** Estimated bytes of translated code and its metadata. */
  bytes: number;
  /** Regions that can be entered. */
  regions: number;
  /** Since the start: regions made, dead with their code, modules evicted, places the translator could not take, modules, ms spent on them (in whatever thread). */
  made: number;
  invalidated: number;
  evicted: number;
  refused: number;
  modules: number;
  milliseconds: number;
  /** ms of the longest translation in one go. */
  longest: number;
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
  readonly #queue = new Map<number, RegionRequest>();
  readonly #background: BackgroundTranslator | null;
  /** Records the other thread is at work on. */
  readonly #underway = new Set<number>();
  /** Records the translator refused, and how often they may be heated before it is asked again: code around them may be known by then. */
  readonly #refused = new Map<number, number>();
  #modules = 0;
  #milliseconds = 0;
  #longest = 0;

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

  /** From generated code: HEAT_STEP more jumps went to a record of the page that runs now. */
  hot(record: number): void {
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
    const { i32 } = this.#core.mem;
    const request = { record, frame: i32[(STATE + F.codeFrame) >> 2]!, key: i32[(STATE + F.mode) >> 2]! };
    if (!this.#cache.isCurrent(request)) return;
    this.#queue.set(record, request);
    if (this.#queue.size >= this.#options.batch) this.translateQueue();
  }

  /** Translates what waits. */
  translateQueue(): void {
    const requests = [...this.#queue.values()].filter((request) => this.#cache.isCurrent(request));
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

  /** Between runs of generated code: takes what another thread has translated. */
  poll(): void {
    if (this.#background && this.#background.outstanding > 0) this.#background.poll();
  }
  /** Translations another thread still has to do. */
  get outstanding(): number {
    return this.#background?.outstanding ?? 0;
  }
  #delivered({ mode, requests, made, current, milliseconds }: Translation): void {
    for (const { record } of requests) this.#underway.delete(record);
    this.#note(requests, made?.functions ?? [], milliseconds);
    const alive = current.filter(({ request }) => this.#cache.isCurrent(request));
    if (made && alive.length > 0) this.#load(mode, made.module, alive, made.codeBytes);
  }
  /** Remembers what was refused. */
  #note(requests: readonly RegionRequest[], functions: readonly RegionFunction[], milliseconds: number): void {
    const done = new Set(functions.map(({ request }) => request.record));
    for (const { record } of requests) if (!done.has(record)) this.#refused.set(record, PATIENCE);
    this.#milliseconds += milliseconds;
    this.#longest = Math.max(this.#longest, milliseconds);
  }
  #load(mode: 32 | 64, module: WebAssembly.Module, functions: readonly RegionFunction[], codeBytes: number): void {
    const { table, env } = this.#shared(mode);
    const instance = new WebAssembly.Instance(module, { env });
    this.#cache.add(table, instance.exports, functions, codeBytes);
    this.#modules++;
  }

  #compile(mode: 32 | 64, requests: readonly RegionRequest[]): void {
    const start = performance.now();
    const made = this.#translate(this.#core, mode, requests);
    if (made) this.#load(mode, new WebAssembly.Module(made.bytes), made.functions, made.bytes.length);
    this.#note(requests, made?.functions ?? [], performance.now() - start);
  }

  recordGone(frame: number, offset: number): void {
    this.#cache.recordGone(frame, offset);
  }
  pageGone(frame: number): void {
    this.#cache.pageGone(frame);
  }
  everythingGone(): void {
    this.#cache.everythingGone();
    this.#queue.clear();
    this.#background?.forget();
    this.#underway.clear();
    this.#refused.clear();
    this.#hotness.clear();
  }

  statistics(): TierStatistics {
    const { bytes, live, made, invalidated, evicted } = this.#cache;
    return {
      ...{ bytes, regions: live, made, invalidated, evicted, refused: this.#refused.size },
      ...{ modules: this.#modules, milliseconds: this.#milliseconds, longest: this.#longest },
    };
  }
}
