// Typed service proxies over a message port: requests with results, errors, cancellation and progress; event subscriptions; transferables.
// Invariant: arguments are parsed by their schema before the service sees them; errors arrive as BulkheadError with the same sentences.

import { z } from 'zod';
import { BulkheadError, toSentences, type ErrorSentences } from './errors.ts';

/** The least a port must do; adapters below make one of every port we meet. */
export interface PortLike {
  postMessage(message: unknown, transfer?: readonly unknown[]): void;
  onMessage(listener: (message: unknown) => void): void;
  onClose(listener: () => void): void;
  close(): void;
}

export interface MethodDefinition<P extends z.ZodType = z.ZodType, R = unknown> {
  params: P;
  /** Only its type is used. */
  result?: R;
}
export interface EventDefinition<F extends z.ZodType = z.ZodType, D = unknown> {
  filter: F;
  data?: D;
}
export interface ServiceDefinition {
  name: string;
  methods: Record<string, MethodDefinition>;
  events: Record<string, EventDefinition>;
}

/** A method that takes `params` and returns R. */
export function method<R>() {
  return <P extends z.ZodType>(params: P): MethodDefinition<P, R> => ({ params });
}
/** An event stream selected by `filter` that carries D. */
export function event<D>() {
  return <F extends z.ZodType>(filter: F): EventDefinition<F, D> => ({ filter });
}

type ParamsIn<M> = M extends MethodDefinition<infer P, unknown> ? z.input<P> : never;
type ParamsOut<M> = M extends MethodDefinition<infer P, unknown> ? z.output<P> : never;
type ResultOf<M> = M extends { result?: infer R }
  ? Exclude<R, undefined> | (undefined extends R ? void : never)
  : never;
type FilterIn<E> = E extends EventDefinition<infer F, unknown> ? z.input<F> : never;
type FilterOut<E> = E extends EventDefinition<infer F, unknown> ? z.output<F> : never;
type DataOf<E> = E extends { data?: infer D } ? Exclude<D, undefined> : never;

export interface CallOptions {
  signal?: AbortSignal;
  /** 0 to 1 and a phase in words. */
  onProgress?: (progress: number | null, phase: string) => void;
  transfer?: readonly unknown[];
}

export type Client<S extends ServiceDefinition> = {
  readonly [M in keyof S['methods']]: (
    params: ParamsIn<S['methods'][M]>,
    options?: CallOptions,
  ) => Promise<ResultOf<S['methods'][M]>>;
} & {
  /** Subscribes; the returned function ends it. `failed` hears why a subscription was refused. */
  on<E extends keyof S['events'] & string>(
    name: E,
    filter: FilterIn<S['events'][E]>,
    listener: (data: DataOf<S['events'][E]>) => void,
    failed?: (error: BulkheadError) => void,
  ): () => void;
  /** Resolves when the port closes. */
  readonly closed: Promise<void>;
  close(): void;
};

export interface CallContext {
  readonly signal: AbortSignal;
  progress(progress: number | null, phase: string): void;
}
export type Implementation<S extends ServiceDefinition> = {
  readonly methods: {
    readonly [M in keyof S['methods']]: (
      params: ParamsOut<S['methods'][M]>,
      context: CallContext,
    ) => ResultOf<S['methods'][M]> | Promise<ResultOf<S['methods'][M]>>;
  };
  readonly events: {
    /** Starts sending; the returned function stops it. */
    readonly [E in keyof S['events']]: (
      filter: FilterOut<S['events'][E]>,
      send: (data: DataOf<S['events'][E]>) => void,
    ) => () => void;
  };
};

type Message =
  | { t: 'call'; id: number; service: string; method: string; params: unknown }
  | { t: 'cancel'; id: number }
  | { t: 'result'; id: number; value: unknown }
  | { t: 'error'; id: number; error: ErrorSentences }
  | { t: 'progress'; id: number; progress: number | null; phase: string }
  | { t: 'on'; id: number; service: string; event: string; filter: unknown }
  | { t: 'off'; id: number }
  | { t: 'event'; id: number; data: unknown };

const isMessage = (m: unknown): m is Message =>
  typeof m === 'object' && m !== null && typeof (m as Message).t === 'string' && typeof (m as Message).id === 'number';

/** What stands at a path of a value, short enough for a sentence; empty for what has no short form. */
function foundAt(value: unknown, path: readonly PropertyKey[]): string {
  let at = value;
  for (const key of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return '';
    at = (at as Record<PropertyKey, unknown>)[key];
  }
  if (typeof at === 'string') return JSON.stringify(at.length > 60 ? `${at.slice(0, 60)}...` : at);
  return typeof at === 'number' || typeof at === 'boolean' || at === null ? String(at) : '';
}

/**
 * The first problem of a failed parse, as sentences that name the field, what was found and what is allowed.
 * @param at path of the parsed value inside what the user wrote, when it is a part of it
 * @param value what was parsed, to quote what was found
 */
export function invalidArgument(error: z.ZodError, what: string, at = '', value?: unknown): BulkheadError {
  const issue = error.issues[0]!;
  const found = foundAt(value, issue.path);
  const path = issue.path.reduce<string>(
    (p, k) => (typeof k === 'number' ? `${p}[${k}]` : p ? `${p}.${String(k)}` : String(k)),
    at,
  );
  return new BulkheadError({
    code: 'invalid-argument',
    what,
    why: `${path || 'The value'}: ${issue.message}${found ? `; found ${found}` : ''}.`,
    action: 'Correct it and try again.',
    field: path,
  });
}

/** Serves a service on a port until it closes. Returns a function that stops serving. */
export function serve<S extends ServiceDefinition>(
  definition: S,
  implementation: Implementation<S>,
  port: PortLike,
): () => void {
  const running = new Map<number, AbortController>();
  const subscriptions = new Map<number, () => void>();
  let open = true;
  const post = (m: Message): void => {
    if (open) port.postMessage(m);
  };
  const stop = (): void => {
    open = false;
    for (const c of running.values()) c.abort();
    for (const end of subscriptions.values()) end();
    subscriptions.clear();
  };
  const call = async (m: Extract<Message, { t: 'call' }>): Promise<void> => {
    const controller = new AbortController();
    running.set(m.id, controller);
    try {
      const d = Object.hasOwn(definition.methods, m.method) ? definition.methods[m.method] : undefined;
      if (!d || m.service !== definition.name) throw unknownName('method', m.method);
      const parsed = d.params.safeParse(m.params);
      if (!parsed.success) throw invalidArgument(parsed.error, `The request "${m.method}" was refused.`, '', m.params);
      const value = await implementation.methods[m.method]!(parsed.data as never, {
        signal: controller.signal,
        progress: (progress, phase) => post({ t: 'progress', id: m.id, progress, phase }),
      });
      post({ t: 'result', id: m.id, value });
    } catch (e) {
      post({ t: 'error', id: m.id, error: toSentences(e) });
    } finally {
      running.delete(m.id);
    }
  };
  port.onMessage((m) => {
    if (!open || !isMessage(m)) return;
    if (m.t === 'call') void call(m);
    else if (m.t === 'cancel') running.get(m.id)?.abort();
    else if (m.t === 'off') {
      subscriptions.get(m.id)?.();
      subscriptions.delete(m.id);
    } else if (m.t === 'on') {
      try {
        const d = Object.hasOwn(definition.events, m.event) ? definition.events[m.event] : undefined;
        if (!d || m.service !== definition.name) throw unknownName('event', m.event);
        const parsed = d.filter.safeParse(m.filter);
        if (!parsed.success)
          throw invalidArgument(parsed.error, `The subscription to "${m.event}" was refused.`, '', m.filter);
        subscriptions.get(m.id)?.();
        subscriptions.set(
          m.id,
          implementation.events[m.event]!(parsed.data as never, (data) => post({ t: 'event', id: m.id, data })),
        );
      } catch (e) {
        post({ t: 'error', id: m.id, error: toSentences(e) });
      }
    }
  });
  port.onClose(stop);
  return stop;
}

function unknownName(kind: string, name: string): BulkheadError {
  return new BulkheadError({
    code: 'invalid-argument',
    what: `There is no ${kind} "${name}".`,
    why: 'The window and the engine are of different versions.',
    action: 'Restart Bulkhead.',
  });
}

/** A client of a service at the other end of a port. */
export function connect<S extends ServiceDefinition>(definition: S, port: PortLike): Client<S> {
  let next = 1;
  let open = true;
  const calls = new Map<
    number,
    { resolve: (v: unknown) => void; reject: (e: unknown) => void; onProgress?: CallOptions['onProgress'] }
  >();
  const listeners = new Map<
    number,
    { listener: (d: unknown) => void; failed?: ((e: BulkheadError) => void) | undefined }
  >();
  const stopped = (): BulkheadError =>
    new BulkheadError({
      code: 'engine-stopped',
      what: 'The engine did not answer.',
      why: 'It has stopped or the connection to it was closed.',
      action: 'Restart the engine; the lab is safe up to the last save.',
    });
  const cancelled = (): BulkheadError =>
    new BulkheadError({
      code: 'cancelled',
      what: 'The request was cancelled.',
      why: 'You asked for it.',
      action: 'Start it again if you still want it.',
    });
  let markClosed!: () => void;
  const closed = new Promise<void>((resolve) => (markClosed = resolve));
  port.onMessage((m) => {
    if (!isMessage(m)) return;
    if (m.t === 'event') listeners.get(m.id)?.listener(m.data);
    else if (m.t === 'progress') calls.get(m.id)?.onProgress?.(m.progress, m.phase);
    else if (m.t === 'result') {
      calls.get(m.id)?.resolve(m.value);
      calls.delete(m.id);
    } else if (m.t === 'error') {
      const error = new BulkheadError(m.error);
      calls.get(m.id)?.reject(error);
      calls.delete(m.id);
      listeners.get(m.id)?.failed?.(error);
      listeners.delete(m.id);
    }
  });
  const end = (): void => {
    if (!open) return;
    open = false;
    for (const c of calls.values()) c.reject(stopped());
    calls.clear();
    for (const l of listeners.values()) l.failed?.(stopped());
    listeners.clear();
    markClosed();
  };
  port.onClose(end);
  const client: Record<string, unknown> = {
    closed,
    close: () => {
      port.close();
      end();
    },
    on: (name: string, filter: unknown, listener: (d: unknown) => void, failed?: (e: BulkheadError) => void) => {
      if (!open) {
        failed?.(stopped());
        return () => {};
      }
      const id = next++;
      listeners.set(id, { listener, failed });
      port.postMessage({ t: 'on', id, service: definition.name, event: name, filter } satisfies Message);
      return () => {
        if (listeners.delete(id) && open) port.postMessage({ t: 'off', id } satisfies Message);
      };
    },
  };
  for (const name of Object.keys(definition.methods))
    client[name] = (params: unknown, options: CallOptions = {}) =>
      new Promise((resolve, reject) => {
        if (!open) return reject(stopped());
        const { signal } = options;
        if (signal?.aborted) return reject(cancelled());
        const id = next++;
        const abort = (): void => {
          if (!calls.has(id)) return;
          port.postMessage({ t: 'cancel', id } satisfies Message);
          settle(reject)(cancelled());
        };
        // whichever comes first, answer, abort or close, ends the call and its listener
        const settle =
          <T>(finish: (v: T) => void) =>
          (v: T): void => {
            calls.delete(id);
            signal?.removeEventListener('abort', abort);
            finish(v);
          };
        // before it is waited for: what cannot be cloned throws here
        const message: Message = { t: 'call', id, service: definition.name, method: name, params };
        port.postMessage(message, options.transfer);
        calls.set(id, { resolve: settle(resolve), reject: settle(reject), onProgress: options.onProgress });
        signal?.addEventListener('abort', abort, { once: true });
      });
  return client as Client<S>;
}

// ---- adapters

interface DomPort {
  postMessage(m: unknown, transfer?: never): void;
  addEventListener(type: string, listener: (e: { data: unknown }) => void): void;
  start?(): void;
  close(): void;
}
/** A DOM MessagePort (renderer). */
export function fromDomPort(port: unknown): PortLike {
  const p = port as DomPort;
  return {
    postMessage: (m, transfer) => p.postMessage(m, (transfer ?? []) as never),
    onMessage: (l) => {
      p.addEventListener('message', (e) => l(e.data));
      p.start?.();
    },
    onClose: (l) => p.addEventListener('close', () => l()),
    close: () => p.close(),
  };
}
interface NodePort {
  postMessage(m: unknown, transfer?: never): void;
  on(type: string, listener: (m: unknown) => void): void;
  start?(): void;
  close?(): void;
}
/** A port of node:worker_threads, or a worker itself. */
export function fromNodePort(port: unknown): PortLike {
  const p = port as NodePort;
  return {
    postMessage: (m, transfer) => p.postMessage(m, (transfer ?? []) as never),
    onMessage: (l) => p.on('message', l),
    onClose: (l) => {
      p.on('close', () => (l as () => void)());
      p.on('exit', () => (l as () => void)());
    },
    close: () => p.close?.(),
  };
}
/** Electron's MessagePortMain, whose messages arrive wrapped in an event. */
export function fromElectronPort(port: unknown): PortLike {
  const p = port as NodePort;
  return {
    postMessage: (m) => p.postMessage(m),
    onMessage: (l) => {
      p.on('message', (e) => l((e as { data: unknown }).data));
      p.start?.();
    },
    onClose: (l) => p.on('close', () => (l as () => void)()),
    close: () => p.close?.(),
  };
}
