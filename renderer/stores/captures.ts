// Captures of network interfaces, as the engine reports them, and starting and ending them.
import { defineStore } from 'pinia';
import type { BulkheadBridge } from '../../shared/bridge.ts';
import type { CaptureStatus } from '../../shared/model.ts';
import { announcer } from '../composables/announcer.ts';
import { messages } from '../messages/index.ts';
import { useLab } from './lab.ts';
import { useSession } from './session.ts';

export const useCaptures = defineStore('captures', () => {
  const lab = useLab();
  const session = useSession();

  /** The capture of an interface, running or ended by a problem; undefined when there is none. */
  const of = (uuid: string, nic: number): CaptureStatus | undefined =>
    lab.domainStatus(uuid)?.captures?.find((capture) => capture.nic === nic);
  const runs = (uuid: string, nic: number): boolean => {
    const capture = of(uuid, nic);
    return capture !== undefined && capture.problem === undefined;
  };

  /** Asks for a file and captures into it from now on. */
  async function start(bridge: BulkheadBridge, uuid: string, nic: number): Promise<void> {
    const name = lab.domain(uuid)?.name ?? 'domain';
    const path = await session.attempt(bridge.files.save('capture', `${name}-vif${nic}.pcap`));
    if (!path || !(await session.act((engine) => engine.startCapture({ uuid, nic, path })))) return;
    announcer.say(messages.capture.started(name, nic), uuid);
  }

  async function stop(uuid: string, nic: number): Promise<void> {
    const bytes = of(uuid, nic)?.bytes ?? 0;
    if (await session.act((engine) => engine.stopCapture({ uuid, nic })))
      announcer.say(messages.capture.stopped(lab.domain(uuid)?.name ?? '', bytes), uuid);
  }

  return { of, runs, start, stop };
});
