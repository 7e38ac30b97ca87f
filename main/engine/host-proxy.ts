// The engine's end of a host's worker thread: calls with results, console and state events, and what happens when the thread dies.

import { Worker } from 'node:worker_threads';
import { BulkheadError, type ErrorSentences } from '../../shared/errors.ts';
import type { HostSpec } from '../../shared/model.ts';
import type { HostCall, HostCalls, HostReply } from './host-messages.ts';

export interface HostEvents {
  console(domid: number, bytes: Uint8Array): void;
  stateChanged(domid: number): void;
  /** The thread ended without being asked to. */
  lost(reason: string): void;
}

/** Makes the worker thread; replaced by tests and by bundles whose worker file lies elsewhere. */
export type SpawnWorker = () => Worker;

export class HostProxy {
  readonly spec: HostSpec;
  readonly #worker: Worker;
  readonly #events: HostEvents;
  readonly #waiting = new Map<number, { resolve: (v: never) => void; reject: (e: unknown) => void }>();
  #next = 1;
  #ended = false;
  #dead: BulkheadError | null = null;

  constructor(spec: HostSpec, spawn: SpawnWorker, events: HostEvents) {
    this.spec = spec;
    this.#events = events;
    this.#worker = spawn();
    this.#worker.on('message', (m: HostReply) => this.#receive(m));
    this.#worker.on('error', (e) => this.#die(e instanceof Error ? e.message : String(e)));
    this.#worker.on('exit', (code) => this.#die(`Its thread ended with code ${code}.`));
  }

  #receive(m: HostReply): void {
    if ('event' in m) {
      if (m.event === 'console') this.#events.console(m.domid, m.bytes);
      else this.#events.stateChanged(m.domid);
      return;
    }
    const w = this.#waiting.get(m.id);
    this.#waiting.delete(m.id);
    if ('error' in m) w?.reject(new BulkheadError(m.error));
    else w?.resolve(m.value as never);
  }

  #die(reason: string): void {
    if (this.#dead) return;
    this.#dead = new BulkheadError({
      code: 'host-lost',
      what: `The host ${this.spec.name} has stopped.`,
      why: reason,
      action: 'It was started again, empty; create its domains anew.',
    });
    for (const w of this.#waiting.values()) w.reject(this.#dead);
    this.#waiting.clear();
    if (!this.#ended) this.#events.lost(reason);
  }

  /** Asks the host. Rejects with a BulkheadError: the host's own, or `host-lost`. */
  call<C extends HostCall>(
    call: C,
    args: HostCalls[C]['args'],
    transfer: ArrayBuffer[] = [],
  ): Promise<HostCalls[C]['result']> {
    if (this.#dead) return Promise.reject(this.#dead);
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, call, args }, transfer);
    });
  }

  /** The host failed in a way that leaves its state in doubt, a defect of ours: it is lost, loudly. */
  giveUp(error: ErrorSentences): void {
    if (this.#dead) return;
    console.error(`The host ${this.spec.name} failed: ${error.details ?? error.what}`);
    this.#die((error.details ?? error.what).split('\n')[0]!);
    void this.#worker.terminate();
  }

  /** Ends the thread. */
  async end(): Promise<void> {
    this.#ended = true;
    await this.#worker.terminate();
  }
}
