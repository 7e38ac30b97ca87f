// How ports reach a guest: the 2-level bitmap or FIFO queues. A domain has one at a time.

import type { Port } from './port.ts';

export interface EventAbi {
  readonly maxPorts: number;
  setPending(port: number, p: Port): void;
  unmask(port: number, p: Port): void;
  clearPending(port: number): void;
  isPending(port: number): boolean;
  isMasked(port: number): boolean;
  /** 0 or a negative errno. */
  setPriority(p: Port, priority: number): number;
}
