// Capturing what a domain's network interfaces send and get.
import { IconNetwork, IconPlayerStop } from '@tabler/icons-vue';
import { messages } from '../messages/index.ts';
import { useCaptures } from '../stores/captures.ts';
import { useLab } from '../stores/lab.ts';
import type { Verb } from './command.ts';
import type { VerbContext } from './context.ts';

/** One verb for each interface: it starts a capture, or ends the one that runs. A domain without any has one that says so. */
export function captureVerbs(uuid: string, { bridge }: VerbContext): Verb[] {
  const status = useLab().domainStatus(uuid);
  if (!status) return [];
  const captures = useCaptures();
  const { name, nics = 0, state } = status;
  const gone = state === 'crashed' || state === 'shutdown' || state === 'lost' || state === 'building';
  return Array.from({ length: Math.max(1, nics) }, (_, nic) => {
    const runs = captures.runs(uuid, nic);
    const label = (runs ? messages.capture.stop : messages.capture.start)(nics > 1 ? nic : undefined);
    return {
      id: nic === 0 ? `domain.capture.${uuid}` : `domain.capture.${uuid}.${nic}`,
      group: name,
      title: messages.verbs.of(label, name),
      label,
      icon: runs ? IconPlayerStop : IconNetwork,
      keywords: 'pcap',
      disabledReason:
        nics === 0 ? messages.capture.none(name) : gone && !runs ? messages.verbs.notRunning(name) : undefined,
      run: () => void (runs ? captures.stop(uuid, nic) : captures.start(bridge, uuid, nic)),
    };
  });
}
