// What crosses the link: bytes per second of lab time that leave each host, for the guests and for migrations.

import type { LinkTraffic as Traffic } from '../../shared/model.ts';
import { NS_PER_SECOND } from '../../shared/units.ts';

interface Sample {
  at: number;
  guests: number;
  migrations: number;
}

export class LinkTraffic {
  /** Per host: bytes since the lab began, and samples of the last second, oldest first. */
  readonly #hosts = new Map<string, { guests: number; migrations: number; samples: Sample[] }>();

  note(from: string, what: 'guests' | 'migrations', bytes: number): void {
    let host = this.#hosts.get(from);
    if (!host)
      this.#hosts.set(from, (host = { guests: 0, migrations: 0, samples: [{ at: 0, guests: 0, migrations: 0 }] }));
    host[what] += bytes;
  }

  /** A host is gone. */
  forget(host: string): void {
    this.#hosts.delete(host);
  }

  /** The rates over the last second before lab time `now`, of hosts that have ever sent something. Call it often: it samples. */
  rates(now: number): Traffic[] {
    return [...this.#hosts].map(([from, { guests, migrations, samples }]) => {
      if (samples.at(-1)?.at === now) samples.pop();
      samples.push({ at: now, guests, migrations });
      while (samples.length > 2 && samples[1]!.at <= now - NS_PER_SECOND) samples.shift();
      const first = samples[0]!;
      const seconds = Math.max(now - first.at, NS_PER_SECOND) / NS_PER_SECOND;
      return {
        from,
        guestBytesPerSecond: (guests - first.guests) / seconds,
        migrationBytesPerSecond: (migrations - first.migrations) / seconds,
      };
    });
  }
}
