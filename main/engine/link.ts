// The link between the lab's hosts: every host has one full-duplex port on a switch; bandwidth, latency and loss are those of the lab's link.
//
// Frames of guests leave one after the other at the bandwidth and go before other traffic; each is lost with the link's probability.
// Migrations are TCP connections: they share what the frames leave of a port, in equal parts, and lose nothing but time:
//  - 1,448 of every 1,538 bytes on the wire are payload (Ethernet with preamble and gap, IPv4, TCP with timestamps);
//  - a lost segment crosses again, so 1 - p of the bandwidth is useful;
//  - congestion control keeps the rate below MSS / RTT * sqrt(3/2) / sqrt(p) (Mathis, Semke, Mahdavi and Ott, 1997); slow start is left out.
// Invariant: the same frames in the same order give the same losses and times; nothing here looks at another clock.

import type { LinkSpec } from '../../shared/model.ts';
import { LinkTraffic } from './link-traffic.ts';
import type { LinkFrame } from '../toolstack/simulated-host.ts';

const MSS = 1448;
const SEGMENT_ON_WIRE = 1538;
/** Frame check sequence, preamble and gap; the shortest frame is padded. */
const FRAME_OVERHEAD = 24;
const SHORTEST_ON_WIRE = 84;

/** Payload in bytes per ns that one TCP connection alone gets on this link. */
export function tcpRate(link: LinkSpec): number {
  const wire = (link.bandwidthMbit / 8000) * (MSS / SEGMENT_ON_WIRE);
  if (link.loss <= 0) return wire;
  if (link.loss >= 1) return 0;
  const rttNs = 2 * link.latencyUs * 1000;
  return Math.min(wire * (1 - link.loss), ((MSS / rttNs) * Math.sqrt(1.5)) / Math.sqrt(link.loss));
}

/** ns that a frame of this length occupies a port. */
export function frameNs(link: LinkSpec, length: number): number {
  return (Math.max(length + FRAME_OVERHEAD, SHORTEST_ON_WIRE) * 8000) / link.bandwidthMbit;
}

export class Link {
  readonly #spec: () => LinkSpec;
  #random: number;
  /** Per host: its port is busy with frames until then, and for how long it was so since the last look. */
  readonly #ports = new Map<string, { busyUntil: number; busyNs: number }>();
  readonly #arriving = new Map<string, LinkFrame[]>();
  /** Which host an address was last heard on. */
  readonly #learned = new Map<string, string>();
  framesLost = 0;
  /** What is shown of it. */
  readonly traffic = new LinkTraffic();

  /** @param seed decides which frames are lost */
  constructor(spec: () => LinkSpec, seed: number) {
    this.#spec = spec;
    this.#random = (seed ^ 0x9e37_79b9) >>> 0 || 1;
  }

  /** xorshift32, 0 to 1. */
  #next(): number {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#random = x >>> 0;
    return this.#random / 2 ** 32;
  }

  #port(host: string): { busyUntil: number; busyNs: number } {
    let port = this.#ports.get(host);
    if (!port) this.#ports.set(host, (port = { busyUntil: 0, busyNs: 0 }));
    return port;
  }

  /** Takes the frames that left `from`, in order, and sends each on to the host that has its address, or to all others. */
  carry(from: string, frames: readonly LinkFrame[], hosts: readonly string[]): void {
    const link = this.#spec();
    const port = this.#port(from);
    for (const frame of frames) {
      const ns = frameNs(link, frame.bytes.length);
      port.busyUntil = Math.max(port.busyUntil, frame.at) + ns;
      port.busyNs += ns;
      this.traffic.note(from, 'guests', Math.max(frame.bytes.length + FRAME_OVERHEAD, SHORTEST_ON_WIRE));
      this.#learned.set(macAt(frame.bytes, 6), from);
      if (link.loss > 0 && this.#next() < link.loss) {
        this.framesLost++;
        continue;
      }
      const known = frame.bytes[0]! & 1 ? undefined : this.#learned.get(macAt(frame.bytes, 0));
      const at = port.busyUntil + link.latencyUs * 1000;
      for (const to of hosts)
        if (to !== from && (known === undefined || known === from || known === to)) {
          const queue = this.#arriving.get(to);
          if (queue) queue.push({ ...frame, at });
          else this.#arriving.set(to, [{ ...frame, at }]);
        }
    }
  }

  /** Frames that reach `host` before `until`, in order of arrival. */
  arrivals(host: string, until: number): LinkFrame[] {
    const queue = this.#arriving.get(host);
    if (!queue?.length) return [];
    const due = queue.filter((f) => f.at < until).sort((a, b) => a.at - b.at);
    if (due.length)
      this.#arriving.set(
        host,
        queue.filter((f) => f.at >= until),
      );
    return due;
  }

  /** When the next frame arrives anywhere; Infinity = none is on its way. */
  nextArrival(): number {
    let first = Infinity;
    for (const queue of this.#arriving.values()) for (const f of queue) first = Math.min(first, f.at);
    return first;
  }

  /**
   * Payload rate (bytes per ns) that a migration had over the last `ns`, when `out` migrations left its source and `into` reached its
   * target: an equal share of what the frames left of the port. `sharing()` begins the next stretch of time.
   */
  migrationRate(from: string, ns: number, out: number, into: number): number {
    const busy = ns > 0 ? Math.min(1, this.#port(from).busyNs / ns) : 0;
    return (tcpRate(this.#spec()) * (1 - busy)) / Math.max(1, out, into);
  }

  /** The time that frames took until now has been accounted for. */
  sharing(): void {
    for (const port of this.#ports.values()) port.busyNs = 0;
  }

  /** A host is gone: what was on its way there is lost. */
  forget(host: string): void {
    this.#arriving.delete(host);
    this.#ports.delete(host);
    this.traffic.forget(host);
  }
}

function macAt(bytes: Uint8Array, at: number): string {
  let text = '';
  for (let i = at; i < at + 6; i++) text += String.fromCharCode(bytes[i]!);
  return text;
}
