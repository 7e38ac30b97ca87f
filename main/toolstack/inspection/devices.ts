// The devices of a domain under the hypervisor: split drivers by both ends, its console and xenstore rings, and the local APICs of an HVM one.

import type { DeviceReport } from '../../../shared/inspection-service.ts';
import { XenbusState } from '../../backends/split-driver.ts';
import type { Store } from '../../backends/xenstore/store.ts';
import { domainPath } from '../domain-store.ts';
import type { Entry } from '../host-report.ts';
import { registerFacts } from './board-devices.ts';

type Fact = DeviceReport['facts'][number];
type Counter = DeviceReport['counters'][number];

const STATE_NAMES = new Map<string, string>(Object.entries(XenbusState).map(([name, n]) => [String(n), name]));

/** The state node of one end, in words; null when there is none. */
function stateOf(store: Store, end: string): string | null {
  const text = store.get(`${end}/state`);
  return text === null ? null : (STATE_NAMES.get(text) ?? `unknown (${text})`);
}

/** Facts from xenstore nodes that exist. */
function factsOf(store: Store, nodes: readonly (readonly [label: string, path: string])[]): Fact[] {
  return nodes.flatMap(([label, path]) => {
    const value = store.get(path);
    return value === null || value === '' ? [] : [{ label, value }];
  });
}

const count = (label: string, value: number): Counter => ({ label, value, unit: 'count' });
const bytes = (label: string, value: number): Counter => ({ label, value, unit: 'bytes' });

/** Why a split device does not work: its backend's sentence, or what its states say. */
function problemOf(store: Store, front: string, back: string): string | null {
  const said = store.get(`${back}/error`);
  if (said) return said;
  const state = stateOf(store, back);
  if (state === 'InitWait') return 'The guest has not connected its driver yet.';
  if (state === 'Closed' || state === 'Closing')
    return `The guest has closed it (${stateOf(store, front) ?? 'no state'}).`;
  return null;
}

/** Every device of a domain, in a fixed order. */
export function domainDevices(entry: Entry, store: Store): DeviceReport[] {
  const { domain, spec } = entry;
  const base = domainPath(domain.domid);
  const devices: DeviceReport[] = [];
  devices.push({
    id: 'console',
    title: 'Console',
    frontend: null,
    backend: null,
    facts: factsOf(store, [
      ['Ring frame', `${base}/console/ring-ref`],
      ['Event channel', `${base}/console/port`],
      ['Type', `${base}/console/type`],
    ]),
    counters: [bytes('printed', entry.consoleBytes), count('protocol errors', entry.console.protocolErrors)],
    problem: entry.console.protocolErrors ? 'The guest wrote an impossible index into its console ring.' : null,
  });
  devices.push({
    id: 'xenstore',
    title: 'XenStore',
    frontend: null,
    backend: null,
    facts: factsOf(store, [
      ['Ring frame', `${base}/store/ring-ref`],
      ['Event channel', `${base}/store/port`],
    ]),
    counters: [count('requests', entry.storeRing.requests)],
    problem: null,
  });
  entry.disks.forEach((disk, n) => {
    const { front, back } = disk;
    const f = disk.figures;
    const image = spec.disks[n];
    devices.push({
      id: `vbd/${front.split('/').at(-1)!}`,
      title: `Block device ${image?.vdev ?? ''}`.trim(),
      frontend: stateOf(store, front),
      backend: stateOf(store, back),
      facts: [
        ...(image
          ? [
              { label: 'Image', value: image.path },
              { label: 'Format', value: image.format },
            ]
          : []),
        ...factsOf(store, [
          ['Mode', `${back}/mode`],
          ['Sectors', `${back}/sectors`],
          ['Sector size', `${back}/sector-size`],
          ['Protocol', `${front}/protocol`],
          ['Ring grant', `${front}/ring-ref`],
          ['Event channel', `${front}/event-channel`],
        ]),
      ],
      counters: [
        count('reads', f.readRequests),
        count('writes', f.writeRequests),
        bytes('read', f.bytesRead),
        bytes('written', f.bytesWritten),
      ],
      problem: problemOf(store, front, back),
    });
  });
  entry.nics.forEach((nic, n) => {
    const { front, back } = nic;
    const f = nic.figures;
    devices.push({
      id: `vif/${n}`,
      title: `Network interface ${n}`,
      frontend: stateOf(store, front),
      backend: stateOf(store, back),
      facts: factsOf(store, [
        ['MAC', `${back}/mac`],
        ['Bridge', `${back}/bridge`],
        ['Transmit ring grant', `${front}/tx-ring-ref`],
        ['Receive ring grant', `${front}/rx-ring-ref`],
        ['Event channel', `${front}/event-channel`],
        ['Receive by copy', `${front}/request-rx-copy`],
      ]),
      counters: [
        count('packets sent', f.packetsSent),
        count('packets received', f.packetsReceived),
        count('packets dropped', f.packetsDropped),
        bytes('sent', f.bytesSent),
        bytes('received', f.bytesReceived),
      ],
      problem: problemOf(store, front, back),
    });
  });
  if (domain.hvm)
    for (const v of domain.vcpus)
      if (v.hvm)
        devices.push({
          id: `local-apic/${v.id}`,
          title: `Local APIC of vCPU ${v.id}`,
          frontend: null,
          backend: null,
          facts: registerFacts(v.hvm.apic.getState()),
          counters: [],
          problem: null,
        });
  devices.push({
    id: 'grants',
    title: 'Grant table',
    frontend: null,
    backend: null,
    facts: [
      { label: 'Version', value: String(domain.grants.version) },
      { label: 'Entries', value: String(domain.grants.entries) },
    ],
    counters: [
      count('pages in use by others', domain.grants.active.size),
      count('pages of others mapped', domain.grants.mappings.size),
    ],
    problem: null,
  });
  return devices;
}
