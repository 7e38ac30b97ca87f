// What a tile shows of a domain: a projection of what the engine says, in words.
import type { DomainStatus, Task } from '../../shared/model.ts';
import { formatMiB } from '../format/memory.ts';
import { formatPercent } from '../format/numbers.ts';
import { messages } from '../messages/index.ts';
import { modeLabel } from './mode-label.ts';

/** Which sign a tile wears; what it means in words is in `state`. */
export type TileLook = 'running' | 'waiting' | 'paused' | 'building' | 'shutdown' | 'crashed';

export interface TileModel {
  readonly uuid: string;
  readonly host: string;
  readonly name: string;
  readonly domid: number;
  readonly colourIndex: number;
  /** As the chip says it: "PV 64". */
  readonly mode: string;
  readonly look: TileLook;
  /** "Running · 2 vCPU · 512 MiB", or why it does not. */
  readonly state: string;
  /** Share of all its vCPUs that it used over the last second of lab time, 0 to 1. */
  readonly cpu: number;
  readonly foot: string;
  readonly task: { readonly label: string; readonly share: number | undefined } | undefined;
  readonly memoryMiB: number;
  readonly vcpus: number;
  /** Typing reaches the guest. */
  readonly live: boolean;
  /** What a screen reader hears on the tile. */
  readonly spoken: string;
}

const LOOKS: Readonly<Record<DomainStatus['state'], TileLook>> = {
  building: 'building',
  running: 'running',
  blocked: 'waiting',
  paused: 'paused',
  shutdown: 'shutdown',
  crashed: 'crashed',
  lost: 'crashed',
};

export function tileModel(domain: DomainStatus, tasks: readonly Task[], now: number): TileModel {
  const look = LOOKS[domain.state];
  const mode = modeLabel(domain.mode, domain.bits);
  const memory = formatMiB(domain.memoryMiB);
  const cpu = Math.min(1, domain.cpuPercent / 100 / domain.vcpus);
  const word = messages.domain.states[domain.state];
  const ended = look === 'crashed' || look === 'shutdown';
  const state = ended ? (domain.reason ?? word) : `${word} · ${messages.domain.vcpus(domain.vcpus)} · ${memory}`;
  const task = tasks.find((entry) => entry.uuid === domain.uuid && entry.state === 'running');
  const told = task && `${task.title}, ${task.phase}`;
  return {
    uuid: domain.uuid,
    host: domain.host,
    name: domain.name,
    domid: domain.domid,
    colourIndex: domain.colour,
    mode,
    look,
    state,
    cpu,
    foot: ended ? memory : messages.domain.up(Math.max(0, now - domain.createdAt)),
    task: task && { label: told!, share: task.progress ?? undefined },
    memoryMiB: domain.memoryMiB,
    vcpus: domain.vcpus,
    live: look === 'running' || look === 'waiting' || look === 'paused',
    spoken: [
      messages.domain.tileName(domain.name, String(domain.domid), mode, word, formatPercent(cpu), memory),
      ended ? domain.reason : undefined,
      told,
    ]
      .filter(Boolean)
      .join(', '),
  };
}
