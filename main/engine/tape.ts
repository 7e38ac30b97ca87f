// The lab's tape: what happened, in order, each event with its lab time, its domain and the position in that domain's console.

import type { LabEvent } from '../../shared/model.ts';
import type { LabDomain } from './lab-domain.ts';

/** What an event is about: a domain, a host, or neither. */
export type About = Partial<Pick<LabDomain, 'uuid' | 'host' | 'console'>>;

export class Tape {
  readonly events: LabEvent[] = [];
  readonly #now: () => number;
  readonly #added: (event: LabEvent) => void;
  #next = 1;

  /** @param added told of every event, to keep it and to show it */
  constructor(now: () => number, added: (event: LabEvent) => void) {
    this.#now = now;
    this.#added = added;
  }

  /** Notes an event at lab time `at`. */
  note(kind: LabEvent['kind'], text: string, about: About = {}, at = this.#now()): void {
    const e: LabEvent = { id: this.#next++, at, kind, text };
    if (about.uuid) {
      e.uuid = about.uuid;
      e.consoleAt = about.console?.end ?? 0;
    }
    if (about.host) e.host = about.host;
    this.events.push(e);
    this.#added(e);
  }

  /** Takes over the events of a lab file. */
  restore(events: readonly LabEvent[]): void {
    this.events.push(...events);
    this.#next = (events.at(-1)?.id ?? 0) + 1;
  }
}
