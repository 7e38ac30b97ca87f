// Room for a domain from another one's balloon: which domain could give enough back, and waiting until its guest has done so.
// Invariant: nothing is taken: a guest that does not give its memory back is asked no more, and gets its old target again.

import { BulkheadError } from '../../shared/errors.ts';
import type { BalloonOffer } from '../../shared/lab-service.ts';
import type { DomainSpec } from '../../shared/model.ts';
import type { Lab } from './lab.ts';
import type { LabDomain } from './lab-domain.ts';
import type { RunningTask } from './tasks.ts';

/** A guest is asked for no more than this share of what it was built with: below it most guests cannot work. */
const LEAST_SHARE = 0.5;
/** What building a domain takes beyond its memory, at most. */
const OVERHEAD_MIB = 1;
/** A guest that has given nothing back for so long, lab ns, has nothing more to give. */
export const PATIENCE_NS = 10e9;

interface Waiting {
  readonly domain: LabDomain;
  readonly roomMiB: number;
  readonly running: RunningTask;
  readonly end: (error: Error | null) => void;
  readonly began: number;
  /** Free memory of the host when it last grew, and when that was. */
  free: number;
  movedAt: number;
}

export class Ballooning {
  readonly #lab: Lab;
  readonly #waiting = new Set<Waiting>();
  #turning: Promise<void> = Promise.resolve();

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  /**
   * Which domain's balloon alone would make room for `memoryMiB` on a host; of several the largest.
   * @returns null when there is room already, or no balloon suffices, or memory is not what is lacking
   */
  async offer(hostName: string, mode: DomainSpec['mode'], memoryMiB: number): Promise<BalloonOffer | null> {
    const lab = this.#lab;
    await lab.refresh();
    const host = lab.hosts.get(hostName);
    if (!lab.hosts.refusals(mode, memoryMiB)[hostName]?.startsWith('needs ')) return null;
    const roomMiB = memoryMiB + OVERHEAD_MIB;
    const lacking = roomMiB - Math.floor(host.report?.freeMiB ?? host.spec.memoryMiB);
    const able = new Set(await host.proxy.call('balloonable', {}));
    const [best] = lab.hosts
      .domainsOn(hostName)
      .filter((d) => able.has(d.domid) && (d.status.state === 'running' || d.status.state === 'blocked'))
      .filter((d) => !lab.migrations.isMoving(d.uuid) && !lab.savings.isSaving(d.uuid))
      .map((d) => ({ d, left: Math.floor(d.status.memoryMiB) - lacking }))
      .filter(({ d, left }) => left >= d.spec.memoryMiB * LEAST_SHARE)
      .sort((a, b) => b.d.status.memoryMiB - a.d.status.memoryMiB || (a.d.spec.name < b.d.spec.name ? -1 : 1));
    return best ? { uuid: best.d.uuid, name: best.d.spec.name, host: hostName, memoryMiB: best.left, roomMiB } : null;
  }

  /**
   * Asks a guest to shrink to `memoryMiB` and resolves once its host has `roomMiB` free. It takes lab time: while the clock stands it waits.
   * @throws BulkheadError guest-refused when the guest does not give enough back, cancelled; then it may have its memory again
   */
  async makeRoom({ uuid, memoryMiB, roomMiB }: Omit<BalloonOffer, 'name' | 'host'>): Promise<void> {
    const lab = this.#lab;
    const domain = lab.domain(uuid);
    const before = Math.min(domain.spec.memoryMiB, Math.ceil(domain.status.memoryMiB));
    await lab.tasks.run(`Balloon ${domain.spec.name} to ${memoryMiB} MiB`, uuid, async (running) => {
      running.report('waiting for the guest to give memory back', 0);
      running.cancellable(true);
      await lab.commands.setMemoryTarget(uuid, memoryMiB);
      try {
        await new Promise<void>((resolve, reject) => {
          const { now } = lab.clock;
          const end = (error: Error | null): void => (error ? reject(error) : resolve());
          const free = lab.hosts.get(domain.host).report?.freeMiB ?? 0;
          this.#waiting.add({ domain, roomMiB, running, end, began: free, free, movedAt: now });
          running.signal.addEventListener('abort', () => void lab.atBoundary(() => this.turn()));
          void lab.atBoundary(() => this.turn());
        });
      } catch (error) {
        // it is there unless it was destroyed or lost meanwhile
        await lab.commands.setMemoryTarget(uuid, before).catch(() => {});
        throw error;
      }
    });
    await lab.refresh();
  }

  /** Looks how far the guests are; between epochs only. */
  turn(): Promise<void> {
    if (this.#waiting.size) this.#turning = this.#turning.then(() => this.#look());
    return this.#turning;
  }

  async #look(): Promise<void> {
    for (const w of [...this.#waiting]) {
      try {
        if (await this.#enough(w)) this.#end(w, null);
      } catch (error) {
        this.#end(w, error instanceof Error ? error : new Error(String(error)));
      }
    }
  }

  /** @throws BulkheadError when it will not come */
  async #enough(w: Waiting): Promise<boolean> {
    const lab = this.#lab;
    const { name } = w.domain.spec;
    const no = (why: string): BulkheadError =>
      new BulkheadError({
        code: 'guest-refused',
        what: `${name} did not give enough memory back.`,
        why,
        action: 'Destroy or migrate another domain, or ask for less memory.',
      });
    if (w.running.signal.aborted) throw w.running.signal.reason;
    const host = lab.hosts.get(w.domain.host);
    const { state } = w.domain.status;
    if (
      lab.domains.get(w.domain.uuid) !== w.domain ||
      (state !== 'running' && state !== 'blocked' && state !== 'paused')
    )
      throw no('It does not run any more.');
    await lab.refresh();
    const freeMiB = host.report?.freeMiB ?? 0;
    if (freeMiB >= w.roomMiB) return true;
    const { now } = lab.clock;
    if (freeMiB > w.free) {
      w.free = freeMiB;
      w.movedAt = now;
      w.running.report('waiting for the guest to give memory back', (freeMiB - w.began) / (w.roomMiB - w.began));
    } else if (now - w.movedAt > PATIENCE_NS)
      throw no(
        `Its guest has given ${Math.round(freeMiB - w.began)} MiB back, and no more for ${PATIENCE_NS / 1e9} s of lab time.`,
      );
    return false;
  }

  #end(w: Waiting, error: Error | null): void {
    this.#waiting.delete(w);
    w.end(error);
  }
}
