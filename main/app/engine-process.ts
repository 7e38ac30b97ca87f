/**
 * The engine process as the main process sees it: start, attach windows, notice its end, start again, stop.
 *
 * Invariant: at most one engine process exists, and every state carries the generation of the process it speaks of, so
 * that nothing a dead engine still says is taken for the living one.
 */
import { EventEmitter } from 'node:events';
import { ENGINE_STOP_LIMIT_MS, type FromEngine, type ToEngine } from '../../shared/engine-process.ts';
import type { EngineState } from '../../shared/bridge.ts';
import { sentenceForEnd } from './engine-end.ts';

/** What this file needs of Electron's utilityProcess.fork and of its result. */
export interface EngineChild {
  postMessage(message: ToEngine, transfer?: unknown[]): void;
  kill(): boolean;
  on(event: 'message', listener: (message: FromEngine) => void): unknown;
  on(event: 'exit', listener: (code: number) => void): unknown;
  readonly stdout: NodeJS.ReadableStream | null;
  readonly stderr: NodeJS.ReadableStream | null;
}

export interface EngineProcessOptions {
  /** Starts the engine's entry on a lab file. */
  readonly fork: (labPath: string) => EngineChild;
  /** Takes what the engine prints, line by line. */
  readonly log: (line: string) => void;
  /** How long a clean stop may take, in wall-clock milliseconds. */
  readonly stopLimitMs?: number;
}

interface EngineEvents {
  state: [EngineState];
}

export class EngineProcess extends EventEmitter<EngineEvents> {
  readonly #options: EngineProcessOptions;
  #child: EngineChild | null = null;
  #state: EngineState | null = null;
  #generation = 0;
  #savedUpTo: number | null = null;
  #stopping = false;
  #lastErrorLine = '';
  #ended: Promise<void> = Promise.resolve();
  /** Files that windows may name: every engine is told of all. */
  readonly #granted = new Set<string>();

  constructor(options: EngineProcessOptions) {
    super();
    this.#options = options;
  }

  /** The state now; null before the first start. */
  get state(): EngineState | null {
    return this.#state;
  }

  /** Starts the engine on a lab file, ending the one that runs. Resolves when the lab is open or refused, or the engine ended. */
  async start(labPath: string): Promise<EngineState> {
    await this.stop();
    const generation = ++this.#generation;
    this.#savedUpTo = null;
    this.#stopping = false;
    this.#lastErrorLine = '';
    this.#enter({ phase: 'starting', generation, labPath });
    const child = this.#options.fork(labPath);
    this.#child = child;
    this.#follow(child, generation, labPath);
    return await this.settled();
  }

  /** Starts again on the same lab file, from its last autosave. */
  async restart(): Promise<EngineState> {
    if (this.#state === null) throw new Error('The engine has not been started yet.');
    return await this.start(this.#state.labPath);
  }

  /** Resolves with the first state that is not `starting`. */
  async settled(): Promise<EngineState> {
    const state = this.#state;
    if (state !== null && state.phase !== 'starting') return state;
    return await new Promise((resolve) => {
      const listener = (next: EngineState): void => {
        if (next.phase === 'starting') return;
        this.off('state', listener);
        resolve(next);
      };
      this.on('state', listener);
    });
  }

  /**
   * Hands the engine one end of a channel to a window. Waits for an engine that is starting.
   *
   * @returns the generation that took it, or null when no engine runs
   */
  async attach(window: number, port: unknown): Promise<number | null> {
    const state = await this.settled();
    if (state.phase !== 'running' || this.#child === null) return null;
    this.#child.postMessage({ type: 'attach', window }, [port]);
    return state.generation;
  }

  /** Lets windows name files that a person chose, dropped or gave at the start. */
  grant(paths: readonly string[]): void {
    for (const path of paths) this.#granted.add(path);
    if (paths.length > 0 && this.#state?.phase === 'running') this.#child?.postMessage({ type: 'grant', paths });
  }
  isGranted(path: string): boolean {
    return this.#granted.has(path);
  }

  /** Ends the engine cleanly; kills it when it does not end in time. Resolves when it is gone. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    this.#stopping = true;
    child.postMessage({ type: 'stop' });
    const limit = setTimeout(() => {
      this.#options.log('The engine did not stop in time and was killed.');
      child.kill();
    }, this.#options.stopLimitMs ?? ENGINE_STOP_LIMIT_MS);
    await this.#ended;
    clearTimeout(limit);
  }

  #follow(child: EngineChild, generation: number, labPath: string): void {
    this.#readLines(child.stdout, (line) => {
      this.#options.log(line);
    });
    this.#readLines(child.stderr, (line) => {
      if (/^(Uncaught )?\w*(Error|Exception)\b/.test(line)) this.#lastErrorLine = line;
      this.#options.log(line);
    });
    child.on('message', (message) => {
      if (generation !== this.#generation) return;
      this.#receive(message, generation, labPath);
    });
    this.#ended = new Promise((resolve) => {
      child.on('exit', (code) => {
        this.#end(child, generation, labPath, code);
        resolve();
      });
    });
  }

  #receive(message: FromEngine, generation: number, labPath: string): void {
    switch (message.type) {
      case 'ready':
        this.#savedUpTo = message.savedUpTo;
        if (this.#granted.size > 0) this.#child?.postMessage({ type: 'grant', paths: [...this.#granted] });
        this.#enter({ phase: 'running', generation, labPath });
        return;
      case 'saved':
        this.#savedUpTo = message.savedUpTo;
        return;
      case 'refused':
        this.#enter({
          phase: 'refused',
          generation,
          labPath,
          sentence: { what: message.what, why: message.why, action: message.action },
        });
        return;
    }
  }

  #end(child: EngineChild, generation: number, labPath: string, code: number): void {
    if (this.#child === child) this.#child = null;
    if (generation !== this.#generation || this.#state?.phase === 'refused') return;
    const sentence = this.#stopping
      ? { what: 'The engine is off.', why: 'It was asked to stop.', action: 'Restart the engine to go on.' }
      : sentenceForEnd(code, this.#lastErrorLine);
    this.#enter({ phase: 'stopped', generation, labPath, savedUpTo: this.#savedUpTo, sentence });
  }

  #enter(state: EngineState): void {
    this.#state = state;
    this.emit('state', state);
  }

  #readLines(stream: NodeJS.ReadableStream | null, take: (line: string) => void): void {
    if (stream === null) return;
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) take(line);
    });
    stream.on('end', () => {
      if (rest !== '') take(rest);
    });
  }
}
