/**
 * The Chrome DevTools Protocol over a pipe (--remote-debugging-pipe): JSON messages ended by a zero byte.
 */
import { EventEmitter } from 'node:events';
import type { Readable, Writable } from 'node:stream';

type Params = Record<string, unknown>;

interface Waiting {
  readonly method: string;
  resolve(result: Params): void;
  reject(error: Error): void;
}

/** Events are emitted under their method's name. */
export class CdpSession extends EventEmitter<Record<string, [Params]>> {
  readonly #connection: CdpConnection;
  readonly id: string | undefined;

  constructor(connection: CdpConnection, id: string | undefined) {
    super();
    this.#connection = connection;
    this.id = id;
  }

  /** Rejects with the browser's message when it refuses, and when the browser is gone. */
  async send(method: string, params: Params = {}): Promise<Params> {
    return await this.#connection.send(method, params, this.id);
  }
}

export class CdpConnection {
  readonly #out: Writable;
  readonly #waiting = new Map<number, Waiting>();
  readonly #sessions = new Map<string | undefined, CdpSession>();
  #nextId = 1;
  #rest = '';
  #closed = false;
  /** The session of the browser itself. */
  readonly browser: CdpSession;

  constructor(out: Writable, input: Readable) {
    this.#out = out;
    this.browser = this.session(undefined);
    input.setEncoding('utf8');
    input.on('data', (chunk: string) => {
      const messages = (this.#rest + chunk).split('\0');
      this.#rest = messages.pop() ?? '';
      for (const message of messages) this.#receive(message);
    });
    input.on('close', () => {
      this.#end();
    });
    // A browser that ends while a command is on its way breaks the pipe; `close` of the input says so.
    out.on('error', () => {
      this.#end();
    });
  }

  session(id: string | undefined): CdpSession {
    let session = this.#sessions.get(id);
    if (session === undefined) this.#sessions.set(id, (session = new CdpSession(this, id)));
    return session;
  }

  async send(method: string, params: Params, sessionId: string | undefined): Promise<Params> {
    if (this.#closed) throw new Error(`${method}: the browser is gone.`);
    const id = this.#nextId++;
    return await new Promise((resolve, reject) => {
      this.#waiting.set(id, { method, resolve, reject });
      this.#out.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  #receive(text: string): void {
    const message = JSON.parse(text) as {
      id?: number;
      sessionId?: string;
      method?: string;
      params?: Params;
      result?: Params;
      error?: { message: string };
    };
    if (message.id === undefined) {
      if (message.method !== undefined) this.session(message.sessionId).emit(message.method, message.params ?? {});
      return;
    }
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.error === undefined) waiting?.resolve(message.result ?? {});
    else waiting?.reject(new Error(`${waiting.method}: ${message.error.message}`));
  }

  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const { method, reject } of this.#waiting.values()) reject(new Error(`${method}: the browser is gone.`));
    this.#waiting.clear();
  }
}
