// Projections of what the engine says: what a tile, a host, the meter and the import zone show.
import { describe, expect, it } from 'vitest';
import { hostModel, visibleSpans } from '../../../renderer/lab/host-model.ts';
import { modeLabel } from '../../../renderer/lab/mode-label.ts';
import { tileModel } from '../../../renderer/lab/tile-model.ts';
import { meterGroups } from '../../../renderer/inspector/meter-rows.ts';
import type { DomainStatus, FileReport, HostStatus } from '../../../shared/model.ts';
import { importProblem } from '../../../renderer/stores/import.ts';
import { domainColour } from '../../../renderer/components/domain-colour.ts';
import { freeHostName, nameFromPath } from '../../../renderer/sheets/free-name.ts';

const plain = (text: string): string => text.replaceAll('\u2009', ' ').replaceAll('\u00a0', ' ');

const domain = (more: Partial<DomainStatus> = {}): DomainStatus => ({
  uuid: 'u1',
  name: 'web-01',
  host: 'alder',
  domid: 1,
  colour: 1,
  mode: 'pv',
  bits: 64,
  state: 'running',
  reason: null,
  vcpus: 2,
  memoryMiB: 1024,
  createdAt: 2e9,
  cpuNs: 5e9,
  cpuPercent: 124,
  consoleBytes: 0,
  ...more,
});

const host = (more: Partial<HostStatus> = {}): HostStatus => ({
  spec: { name: 'alder', pcpus: 4, memoryMiB: 2048, clockMHz: 1000 },
  state: 'running',
  reason: null,
  pcpus: [{ running: 'u1', shares: [] }],
  freeMiB: 1000,
  memory: [],
  native: false,
  ...more,
});

describe('a tile', () => {
  it('says its state, vCPUs and memory, and the share of all its vCPUs', () => {
    const tile = tileModel(domain(), [], 10e9);
    expect(plain(tile.state)).toBe('Running · 2 vCPU · 1 024 MiB');
    expect(tile.cpu).toBeCloseTo(0.62);
    expect(tile.mode).toBe('PV 64');
    expect(plain(tile.foot)).toBe('Up 8.0 s');
    expect(plain(tile.spoken)).toBe('web-01, domain 1, PV 64, Running, CPU 62 %, 1 024 MiB');
  });

  it('says why it crashed, in text and in speech', () => {
    const tile = tileModel(domain({ state: 'crashed', reason: 'Its kernel read address 0x1c.' }), [], 10e9);
    expect(tile.look).toBe('crashed');
    expect(tile.state).toBe('Its kernel read address 0x1c.');
    expect(tile.spoken).toContain('Its kernel read address 0x1c.');
    expect(tile.live).toBe(false);
  });

  it('shows only its own running task', () => {
    const task = { id: 1, title: 'Booting', phase: 'decompressing kernel', progress: 0.4, cancellable: true };
    const running = { ...task, uuid: 'u1', state: 'running' as const };
    expect(tileModel(domain(), [running], 0).task).toEqual({ label: 'Booting, decompressing kernel', share: 0.4 });
    expect(tileModel(domain(), [{ ...running, uuid: 'other' }], 0).task).toBeUndefined();
    expect(tileModel(domain(), [{ ...running, state: 'done' }], 0).task).toBeUndefined();
  });
});

describe('a host', () => {
  it('names who runs on each pCPU', () => {
    const model = hostModel(host(), new Map([['u1', domain()]]));
    expect(model.pcpus[0].running).toBe('web-01');
    expect(model.closed).toBeUndefined();
  });

  it('takes nothing when it is lost, starting or has a native kernel', () => {
    const closed = (more: Partial<HostStatus>): string | undefined => hostModel(host(more), new Map()).closed;
    expect(closed({ state: 'lost', reason: 'Its worker ended.' })).toBe('Its worker ended.');
    expect(closed({ state: 'starting' })).toBeTruthy();
    expect(closed({ native: true })).toBeTruthy();
  });

  it('draws all its memory, whatever it merges', () => {
    const spans = [
      { owner: 'hypervisor', firstFrame: 0, frames: 2048 },
      { owner: 'u1', firstFrame: 2048, frames: 1 },
      { owner: null, firstFrame: 2049, frames: 7 },
      { owner: 'u1', firstFrame: 2056, frames: 4096 },
      { owner: 'u2', firstFrame: 6152, frames: 3 },
      { owner: null, firstFrame: 6155, frames: 500_000 },
    ];
    const drawn = visibleSpans(spans);
    const sum = (list: readonly { frames: number }[]): number => list.reduce((total, span) => total + span.frames, 0);
    expect(sum(drawn)).toBe(sum(spans));
    expect(drawn.map((span) => span.owner)).toEqual(['hypervisor', 'u1', 'u2', null]);
  });
});

describe('modes', () => {
  it('tells only paravirtual guests apart by their width', () => {
    expect(modeLabel('pv', 32)).toBe('PV 32');
    expect(modeLabel('pvh', 64)).toBe('PVH');
    expect(modeLabel('native', 64)).toBe('native');
    expect(modeLabel('pv')).toBe('PV');
  });
});

describe('the meter', () => {
  it('counts memory from creation until now', () => {
    const [use] = meterGroups(domain({ memoryMiB: 512, createdAt: 0 }), undefined, 1800e9);
    const row = use.rows.find((entry) => entry.unit === 'MiB-h');
    expect(row?.used).toBe('256.000');
  });

  it('lists what happened, most first, and nothing that did not', () => {
    const none = { faults: {}, pages: {}, io: {}, exits: {} };
    const figures = { instructions: 1, cpuNs: 1, hypercalls: { iret: 2, sched_op: 9, xen_version: 0 }, ...none };
    const groups = meterGroups(domain(), figures, 0);
    expect(groups).toHaveLength(2);
    expect(groups[1].rows.map((row) => row.resource)).toEqual(['sched_op', 'iret']);
  });
});

describe('importing', () => {
  const report = (more: Partial<FileReport>): FileReport => ({
    path: '/boot/vmlinuz-arm64',
    kind: 'kernel',
    summary: 'It is built for AArch64.',
    modes: [],
    bits: null,
    facts: [],
    checked: [{ text: 'an ELF image for x86', found: false }],
    suggested: {},
    ignored: [],
    ...more,
  });

  it('refuses a kernel that offers no mode, with what was checked', () => {
    const problem = importProblem(report({}));
    expect(problem?.file).toBe('vmlinuz-arm64');
    expect(problem?.checked).toEqual(['an ELF image for x86: not found']);
  });

  it('takes a kernel with a mode, and an xl.cfg', () => {
    expect(importProblem(report({ modes: ['pvh'] }))).toBeUndefined();
    expect(importProblem(report({ kind: 'xl-config' }))).toBeUndefined();
  });

  it('says what to do with a ramdisk and with a lab instead', () => {
    const why = (kind: FileReport['kind']): string | undefined => importProblem(report({ kind }))?.why;
    expect(new Set([why('ramdisk'), why('lab'), why('unknown')]).size).toBe(3);
  });
});

describe('colours', () => {
  it('gives Domain-0 steel, eight guests a hue each, and the next eight a pattern', () => {
    const fills = Array.from({ length: 17 }, (_, i) => domainColour(i));
    expect(fills[0].fill).toBe('--d0');
    expect(new Set(fills.slice(1, 9).map((colour) => colour.fill)).size).toBe(8);
    expect(new Set(fills.map((colour) => colour.fill + colour.pattern)).size).toBe(17);
  });
});

describe('offered names', () => {
  it('are free', () => {
    expect(freeHostName(['alder'])).toBe('birch');
    expect(nameFromPath('/tmp/vmlinuz-6.6.gz', [])).toBe('vmlinuz-6.6');
    expect(nameFromPath('/tmp/vmlinuz-6.6.gz', ['vmlinuz-6.6', 'vmlinuz-6.6-2'])).toBe('vmlinuz-6.6-3');
    expect(nameFromPath('C:\\guests\\my kernel!.cfg', [])).toMatch(/^my-kernel-?$/);
    expect(nameFromPath('/tmp/---', [])).toBe('guest');
  });
});
