/**
 * The page's ends of message channels that cross processes: each is a real DOM MessagePort whose other end is held here
 * and tied to the wire. Runs in the page's isolated world.
 */
import { decodeClone, encodeClone } from './clone-codec.ts';

/** What this file says over the wire about ports. */
export type PortFrame =
  { op: 'port'; id: string; data: Uint8Array; ports: string[] } | { op: 'port-close'; id: string };

export class PagePorts {
  readonly #send: (frame: PortFrame) => void;
  /** Held ends by the id of the endpoint that the page owns. */
  readonly #held = new Map<string, MessagePort>();
  #created = 0;
  readonly #prefix: string;

  constructor(send: (frame: PortFrame) => void, prefix: string) {
    this.#send = send;
    this.#prefix = prefix;
  }

  /** The endpoint with this id now lives in this page: returns the port to hand out. */
  arrive(id: string): MessagePort {
    const { port1, port2 } = new MessageChannel();
    this.#hold(id, port2);
    return port1;
  }

  /** A port of the page leaves it. Returns the id of the endpoint that travels; its partner stays here. */
  leave(port: MessagePort): string {
    const channel = `${this.#prefix}-${++this.#created}`;
    this.#hold(`${channel}/page`, port);
    return `${channel}/away`;
  }

  receive(frame: PortFrame): void {
    const port = this.#held.get(frame.id);
    if (port === undefined) return;
    if (frame.op === 'port-close') {
      this.#held.delete(frame.id);
      port.close();
      return;
    }
    const ports = frame.ports.map((id) => this.arrive(id));
    port.postMessage(decodeClone(frame.data, ports), ports);
  }

  #hold(id: string, port: MessagePort): void {
    this.#held.set(id, port);
    port.onmessage = (event) => {
      const ports = event.ports.map((nested) => this.leave(nested));
      this.#send({ op: 'port', id, data: encodeClone(event.data, event.ports), ports });
    };
    // Chromium tells a port when the other end is closed or collected.
    port.addEventListener('close', () => {
      if (this.#held.delete(id)) this.#send({ op: 'port-close', id });
    });
  }
}
