// What every split device has: two directories in xenstore and the state machine of public/io/xenbus.h.
// Invariant: the backend moves only on what the frontend's state says; a frontend that comes back (reboot of its driver,
// GRUB handing over to Linux) finds it waiting again.

import { bindGuestPort } from '../hypervisor/events/event-channels.ts';
import type { Domain } from '../hypervisor/domain.ts';
import type { Store } from './xenstore/store.ts';
import type { Permission } from './xenstore/tree.ts';

export const XenbusState = {
  Unknown: 0,
  Initialising: 1,
  InitWait: 2,
  Initialised: 3,
  Connected: 4,
  Closing: 5,
  Closed: 6,
  Reconfiguring: 7,
  Reconfigured: 8,
} as const;

export abstract class SplitBackend {
  protected readonly d: Domain;
  protected readonly store: Store;
  readonly front: string;
  readonly back: string;
  private state: number = XenbusState.Initialising;
  private stopWatching: () => void = () => {};
  private connected: { controlPort: number; notify: () => void } | null = null;

  constructor(d: Domain, store: Store, type: string, id: number) {
    this.d = d;
    this.store = store;
    this.front = `/local/domain/${d.domid}/device/${type}/${id}`;
    this.back = `/local/domain/0/backend/${type}/${d.domid}/${id}`;
  }

  /** Writes both directories and begins to follow the frontend. */
  protected publish(id: number, front: Record<string, string | number>, back: Record<string, string | number>): void {
    const { domid } = this.d;
    const none = (of: number): Permission => ({ domid: of, read: false, write: false });
    const read = (of: number): Permission => ({ domid: of, read: true, write: false });
    // Each side owns its directory and lets the other read it.
    this.store.makeDirectory(this.front, [none(domid), read(0)]);
    this.store.makeDirectory(this.back, [none(0), read(domid)]);
    const all = (base: string, entries: Record<string, string | number>) => {
      for (const [key, value] of Object.entries(entries)) this.store.set(`${base}/${key}`, String(value));
    };
    all(this.back, { frontend: this.front, 'frontend-id': domid, online: 1, domain: this.d.name, ...back });
    all(this.front, { backend: this.back, 'backend-id': 0, handle: id, ...front, state: XenbusState.Initialising });
    this.setState(XenbusState.InitWait);
    this.stopWatching = this.store.watch(`${this.front}/state`, () => this.frontendChanged());
  }

  protected setState(state: number): void {
    this.state = state;
    this.store.set(`${this.back}/state`, String(state));
  }

  /** A number the frontend wrote, or null. */
  protected frontNumber(key: string): number | null {
    const text = this.store.get(`${this.front}/${key}`);
    if (text === null || !/^\d{1,10}$/.test(text.trim())) return null;
    return Number(text);
  }

  /** Ends the device with a sentence where the frontend and people can read it. */
  protected protocolError(sentence: string): void {
    this.store.set(`${this.back}/error`, sentence);
    this.detach();
    this.setState(XenbusState.Closed);
  }

  private frontendChanged(): void {
    const front = Number(this.store.get(`${this.front}/state`) ?? 0);
    switch (front) {
      case XenbusState.Initialising:
        if (
          this.state === XenbusState.Closed ||
          this.state === XenbusState.Closing ||
          this.state === XenbusState.Connected
        ) {
          this.detach();
          this.setState(XenbusState.InitWait);
        }
        break;
      case XenbusState.Initialised:
      case XenbusState.Connected:
        if (this.state === XenbusState.Closed) this.setState(XenbusState.InitWait);
        if (this.state === XenbusState.InitWait && this.attach()) this.setState(XenbusState.Connected);
        break;
      case XenbusState.Closing:
        this.detach();
        if (this.state !== XenbusState.Closing) this.setState(XenbusState.Closing);
        break;
      case XenbusState.Closed:
        this.detach();
        if (this.state !== XenbusState.Closed) this.setState(XenbusState.Closed);
        break;
    }
  }

  private attach(): boolean {
    const port = this.frontNumber('event-channel');
    if (port === null) return false;
    const bound = bindGuestPort(this.d, port, () => this.service());
    if (!bound) {
      this.protocolError(`Event channel ${port} was not allocated for the backend.`);
      return false;
    }
    this.connected = bound;
    const problem = this.connect();
    if (problem) {
      this.protocolError(problem);
      return false;
    }
    return true;
  }

  private detach(): void {
    if (!this.connected) return;
    this.d.host.control.events.close(this.connected.controlPort);
    this.connected = null;
    this.disconnect();
  }

  protected notify(): void {
    this.connected?.notify();
  }

  get isConnected(): boolean {
    return this.connected !== null;
  }

  /** The domain goes away. */
  close(): void {
    this.stopWatching();
    this.detach();
    this.store.delete(this.back);
  }

  /** Takes the rings the frontend has announced; a sentence when they are wrong. */
  protected abstract connect(): string | null;
  /** Gives the rings back. */
  protected abstract disconnect(): void;
  /** The frontend rang. */
  protected abstract service(): void;
}
