/**
 * MessageChannelMain and MessagePortMain in a Node process, for ports whose ends may travel to other processes.
 *
 * Every endpoint has an id known to both its ends. A process keeps the endpoints that live in it; what is posted to an
 * endpoint elsewhere goes out through `MessageRouter.route`. Invariant: an endpoint lives in exactly one place, and
 * messages arrive in the order in which they were posted, also across a transfer.
 */
import { EventEmitter } from 'node:events';
import { randomUUID } from 'node:crypto';
import { decodeClone, encodeClone } from './page/clone-codec.ts';

/** A message on its way to an endpoint. */
export interface PortMessage {
  readonly data: Uint8Array;
  /** Endpoints that travel with it. */
  readonly ports: readonly string[];
}

/** Where messages for endpoints of other processes go. */
export interface MessageRouter {
  route(endpoint: string, message: PortMessage): void;
  routeClose(endpoint: string): void;
}

/** The id of the other end. Endpoints are named `<channel>/<side>`. */
export function partnerOf(endpoint: string): string {
  const [channel, side] = endpoint.split('/') as [string, string];
  const other: Readonly<Record<string, string>> = { 1: '2', 2: '1', page: 'away', away: 'page' };
  return `${channel}/${other[side]}`;
}

interface PortEvents {
  message: [{ data: unknown; ports: MessagePortMain[] }];
  close: [];
}

/** Electron's MessagePortMain: messages wait until start(). */
export class MessagePortMain extends EventEmitter<PortEvents> {
  readonly #registry: PortRegistry;
  readonly #id: string;
  #queue: PortMessage[] = [];
  #state: 'waiting' | 'started' | 'transferred' | 'closed' = 'waiting';

  constructor(registry: PortRegistry, id: string) {
    super();
    this.#registry = registry;
    this.#id = id;
  }

  postMessage(message: unknown, transfer: readonly MessagePortMain[] = []): void {
    if (this.#state === 'transferred') throw new Error('This port was transferred and cannot be used here.');
    const data = encodeClone(message, checkedTransfer(transfer));
    if (transfer.includes(this)) throw new Error('A port cannot be transferred through itself.');
    if (this.#state === 'closed') return;
    const ports = transfer.map((port) => this.#registry.release(port));
    this.#registry.send(partnerOf(this.#id), { data, ports });
  }

  start(): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'started';
    const queue = this.#queue;
    this.#queue = [];
    for (const message of queue) this.#deliverSoon(message);
  }

  close(): void {
    if (this.#state === 'closed' || this.#state === 'transferred') return;
    this.#registry.forget(this.#id);
    this.#registry.sendClose(partnerOf(this.#id));
    this.#end();
  }

  /** For the registry: a message has come. */
  receive(message: PortMessage): void {
    if (this.#state === 'waiting') this.#queue.push(message);
    else if (this.#state === 'started') this.#deliverSoon(message);
  }

  /** For the registry: the other end is closed. */
  receiveClose(): void {
    if (this.#state !== 'closed') this.#end();
  }

  /** For the registry: the port goes elsewhere. Returns its id and what had not been delivered. */
  takeAway(): { id: string; queue: PortMessage[] } {
    if (this.#state !== 'waiting') throw new Error('Only a port that is open and not yet started can be transferred.');
    this.#state = 'transferred';
    return { id: this.#id, queue: this.#queue };
  }

  #deliverSoon(message: PortMessage): void {
    // Never inside the caller's postMessage; setImmediate keeps the order.
    setImmediate(() => {
      if (this.#state !== 'started') return;
      const ports = message.ports.map((id) => this.#registry.adopt(id));
      this.emit('message', { data: decodeClone(message.data, ports), ports });
    });
  }

  #end(): void {
    // Messages posted before the close are still delivered first.
    setImmediate(() => {
      if (this.#state === 'closed') return;
      this.#state = 'closed';
      this.emit('close');
    });
  }
}

/** Electron takes only ports in these transfer lists, no array buffers. */
export function checkedTransfer(transfer: readonly unknown[]): readonly MessagePortMain[] {
  for (const item of transfer) {
    if (!(item instanceof MessagePortMain))
      throw new TypeError('Invalid value for transfer: only MessagePortMain can be transferred here.');
  }
  return transfer as readonly MessagePortMain[];
}

/** The endpoints that live in this process. */
export class PortRegistry {
  readonly #router: MessageRouter;
  readonly #local = new Map<string, MessagePortMain>();
  /** Endpoints that have arrived with a message not yet delivered, and what was posted to them meanwhile. */
  readonly #expected = new Map<string, PortMessage[]>();

  /** Endpoints whose carrying message is being posted right now, and what follows it. */
  readonly #leaving = new Map<string, PortMessage[]>();

  constructor(router: MessageRouter) {
    this.#router = router;
  }

  /** A new channel, both ends here. */
  createChannel(): { port1: MessagePortMain; port2: MessagePortMain } {
    const channel = randomUUID();
    return { port1: this.adopt(`${channel}/1`), port2: this.adopt(`${channel}/2`) };
  }

  /** The endpoint now lives here. */
  adopt(id: string): MessagePortMain {
    const port = new MessagePortMain(this, id);
    this.#local.set(id, port);
    for (const message of this.#expected.get(id) ?? []) port.receive(message);
    this.#expected.delete(id);
    return port;
  }

  /** A message that carries these endpoints has reached this process; adopt() follows when it is delivered. */
  expect(ids: readonly string[]): void {
    for (const id of ids) {
      if (!this.#local.has(id)) this.#expected.set(id, []);
    }
  }

  /** The endpoint leaves this process with a message. Returns its id; what waited in it follows it. */
  release(port: MessagePortMain): string {
    const { id, queue } = port.takeAway();
    this.#local.delete(id);
    // The message that carries the port goes first; then what waited, then what is posted meanwhile.
    this.#leaving.set(id, queue);
    queueMicrotask(() => {
      this.#leaving.delete(id);
      for (const message of queue) this.#router.route(id, message);
    });
    return id;
  }

  forget(id: string): void {
    this.#local.delete(id);
  }

  send(id: string, message: PortMessage): void {
    const port = this.#local.get(id);
    const expected = this.#expected.get(id);
    const leaving = this.#leaving.get(id);
    if (port !== undefined || expected !== undefined) this.expect(message.ports);
    if (leaving !== undefined) leaving.push(message);
    else if (port !== undefined) port.receive(message);
    else if (expected !== undefined) expected.push(message);
    else this.#router.route(id, message);
  }

  sendClose(id: string): void {
    const port = this.#local.get(id);
    this.#local.delete(id);
    if (this.#leaving.has(id)) queueMicrotask(() => this.#router.routeClose(id));
    else if (port === undefined) this.#router.routeClose(id);
    else port.receiveClose();
  }

  /** True when the endpoint lives here. */
  has(id: string): boolean {
    return this.#local.has(id) || this.#expected.has(id);
  }
}
