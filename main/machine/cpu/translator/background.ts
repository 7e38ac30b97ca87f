// Translation by another thread: orders with a copy of the decoded pages go out, modules come back and are fetched by polling, since a core runs
// without returning to the event loop. One thread serves all cores of the thread that made them.
// The thread also reads and writes the archive of what earlier runs translated, if BULKHEAD_TRANSLATIONS names a folder for it.
// Invariant: an answer is used only if what it was made from is still what is decoded there; when it comes never changes what a guest computes.

import { MessageChannel, Worker, receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import { CodePage } from '../code-cache.ts';
import type { HostMemory } from '../host-memory.ts';
import { PAGE, PAGE_CODE } from '../layout.ts';
import { Archive } from './archive.ts';
import type { ArchivedFunction, ArchiveIndex } from './archive-file.ts';
import { frameAt, recordAt } from './code-pattern.ts';
import type { RegionFunction, RegionRequest } from './interface.ts';
import { packPage, type SentPage } from './sent-pages.ts';

export interface TranslationOrder {
  readonly order: number;
  readonly host: number;
  readonly mode: 32 | 64;
  /** The decoded pages. */
  readonly pages: readonly SentPage[];
  readonly requests: readonly RegionRequest[];
}
/** What else the thread is told. */
export type TranslationNotice =
  | { readonly forget: number }
  /** The functions of an order that are in use. */
  | { readonly keep: number; readonly functions: readonly ArchivedFunction[] }
  /** A module of the archive is used. */
  | { readonly used: string }
  | { readonly write: true };
/** What else it tells. */
export type TranslatorNews =
  | { readonly archive: { readonly file: string; readonly index: ArchiveIndex } | null }
  | { readonly written: string | null };
export interface TranslationAnswer {
  readonly order: number;
  readonly made: {
    readonly functions: readonly RegionFunction[];
    readonly covered: readonly RegionRequest[];
    readonly module: WebAssembly.Module;
    readonly codeBytes: number;
  } | null;
  /** Our own mistake: nothing was made, and the guest goes on interpreted. */
  readonly error: string | null;
  readonly milliseconds: number;
}
/** An answer with what it has to be compared to. */
export interface Translation extends TranslationAnswer {
  readonly mode: 32 | 64;
  readonly requests: readonly RegionRequest[];
  /** The functions whose code has not changed meanwhile. */
  readonly current: readonly RegionFunction[];
}

interface Waiting {
  readonly mode: 32 | 64;
  readonly requests: readonly RegionRequest[];
  /** Of the pages that have been there all the time since. */
  readonly maps: Map<number, Uint32Array>;
  readonly deliver: (t: Translation) => void;
  readonly mem: HostMemory;
}

/** Threads that may die before no more are started: by then it is not one place's fault. */
const LIVES = 4;
let lives = LIVES;

/** The thread and its port, made with the first host that translates. */
class Service {
  /** Why the thread is no more; null while it lives. */
  #lost: string | null = null;
  readonly #port: MessagePort;
  readonly #waiting = new Map<number, Waiting>();
  #orders = 0;
  /** What earlier runs translated; undefined until the thread has said. */
  archive: Archive | null | undefined;
  /** Called with the outcome of a write. */
  readonly #writing: ((error: string | null) => void)[] = [];

  constructor() {
    const { port1, port2 } = new MessageChannel();
    const folder = process.env.BULKHEAD_TRANSLATIONS ?? null;
    if (folder === null) this.archive = null;
    const source = import.meta.url.endsWith('.ts');
    const file = new URL(source ? './worker.ts' : '../../../translator-worker.js', import.meta.url);
    const worker = new Worker(file, { workerData: { port: port2, folder }, transferList: [port2], execArgv: [] });
    // it may run out of memory, or be killed: without somebody who listens that would be the end of this process
    worker.on('error', (e) => (this.#lost = String(e)));
    worker.on('exit', (code) => (this.#lost ??= `The translating thread ended with code ${code}.`));
    // neither keeps the process alive
    worker.unref();
    this.#port = port1;
    port1.unref();
  }

  /** If the thread is no more, everything that waits for it has failed, and the next order starts another. */
  tend(): void {
    const error = this.#lost;
    if (error === null || service !== this) return;
    service = null;
    lives--;
    this.archive ??= null;
    for (const done of this.#writing.splice(0)) done(error);
    for (const [order, w] of [...this.#waiting]) {
      this.#waiting.delete(order);
      const { mode, requests } = w;
      w.deliver({ order, made: null, error, milliseconds: 0, mode, requests, current: [] });
    }
  }
  send(host: number, w: Waiting, pages: readonly SentPage[]): void {
    const order = this.#orders++;
    this.#waiting.set(order, w);
    const message = { order, host, mode: w.mode, pages, requests: w.requests } satisfies TranslationOrder;
    this.#port.postMessage(
      message,
      pages.map(({ records }) => records.buffer),
    );
  }
  forgetPage(mem: HostMemory, frame: number): void {
    for (const w of this.#waiting.values()) if (w.mem === mem) w.maps.delete(frame);
  }
  tell(notice: TranslationNotice): void {
    this.#port.postMessage(notice);
  }
  write(done: (error: string | null) => void): void {
    this.#writing.push(done);
    this.tell({ write: true });
  }
  #hear(news: TranslatorNews): void {
    if ('written' in news) this.#writing.shift()?.(news.written);
    else if (news.archive === null) this.archive = null;
    else this.archive = new Archive(news.archive.file, news.archive.index, (name) => this.tell({ used: name }));
  }
  /** Hands out an answer that has come, which may be for another host of this thread; the others wait for the next time, as a guest waits meanwhile. */
  poll(): void {
    this.tend();
    for (;;) {
      const received = receiveMessageOnPort(this.#port) as { message: TranslationAnswer | TranslatorNews } | undefined;
      if (!received) return;
      const answer = received.message;
      if (!('order' in answer)) {
        this.#hear(answer);
        continue;
      }
      const w = this.#waiting.get(answer.order)!;
      this.#waiting.delete(answer.order);
      const current = (answer.made?.functions ?? []).filter((f) => isCurrent(w, f));
      w.deliver({ ...answer, mode: w.mode, requests: w.requests, current });
      return;
    }
  }
}
let service: Service | null = null;
let hosts = 0;
const gone = new FinalizationRegistry<number>((host) => service?.tell({ forget: host }));

/** Writes what has been translated so far to the archive, if there is one. @throws Error if it cannot be written */
export async function writeTranslations(): Promise<void> {
  const s = service;
  if (!s || s.archive === null) return;
  let outcome: { error: string | null } | null = null;
  s.write((error) => (outcome = { error }));
  while (outcome === null) {
    await new Promise((later) => setTimeout(later, 5));
    s.poll();
  }
  const { error } = outcome as { error: string | null };
  if (error !== null) throw new Error(`The translations could not be written: ${error}`);
}

/** The same records lie at all places the function was made from. */
function isCurrent({ mem, maps }: Waiting, { request, offsets }: RegionFunction): boolean {
  return offsets.every((o) => {
    const record = maps.get(frameAt(request, o))?.[o % PAGE] ?? 0;
    return record !== 0 && recordAt(mem, request, o) === record;
  });
}

/** The orders of one host. */
export class BackgroundTranslator {
  readonly #mem: HostMemory;
  readonly #host = hosts++;
  readonly #deliver: (t: Translation) => void;
  /** Orders that were given before are answered for nothing: record addresses are used again. */
  #generation = 0;
  /** Orders that have not been answered. */
  outstanding = 0;

  /** @param deliver called from `poll` */
  constructor(mem: HostMemory, deliver: (t: Translation) => void) {
    this.#mem = mem;
    this.#deliver = deliver;
    gone.register(this, this.#host);
    // started now, the thread has loaded the translator by the time that the first place is hot
    service ??= new Service();
  }

  /** Something will come that nobody has ordered. */
  get expecting(): boolean {
    return service !== null && service.archive === undefined;
  }
  get archive(): Archive | null {
    return service?.archive ?? null;
  }
  /** Says what became of an answer. */
  keep(order: number, functions: readonly ArchivedFunction[]): void {
    if (service?.archive !== null) service?.tell({ keep: order, functions });
  }

  order(mode: 32 | 64, requests: readonly RegionRequest[]): void {
    const mem = this.#mem;
    const maps = new Map<number, Uint32Array>();
    const pages: SentPage[] = [];
    for (const frame of requests.flatMap((r) => [r.frame, r.second])) {
      if (frame < 0 || maps.has(frame)) continue;
      const map = mem.u32[(PAGE_CODE >> 2) + frame]!;
      const words = mem.u32.slice(map >> 2, (map + CodePage.bytes) >> 2);
      maps.set(frame, words);
      pages.push(packPage(mem, frame, map, words));
    }
    const generation = this.#generation;
    this.outstanding++;
    const deliver = (t: Translation): void => {
      this.outstanding--;
      this.#deliver(generation === this.#generation ? t : { ...t, current: [] });
    };
    service?.tend();
    if (lives === 0) {
      const error = 'The translating thread has died too often.';
      deliver({ order: -1, made: null, error, milliseconds: 0, mode, requests, current: [] });
      return;
    }
    service ??= new Service();
    service.send(this.#host, { mode, requests, maps, deliver, mem }, pages);
  }

  poll(): void {
    service?.poll();
  }
  /** All records of a frame are gone. */
  forgetPage(frame: number): void {
    service?.forgetPage(this.#mem, frame);
  }
  /** All records are gone. */
  forget(): void {
    this.#generation++;
  }
}
