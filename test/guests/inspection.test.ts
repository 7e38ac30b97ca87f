// Looking inside real guests through the lab service, as the window does: Dinghy as PV, PVH and on the bare machine.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MessageChannel } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { spawnHostWorker } from '../../main/engine/index.ts';
import { readKernel } from '../../main/engine/kernels.ts';
import { Lab } from '../../main/engine/lab.ts';
import { LabServer } from '../../main/engine/service.ts';
import type { TraceRecord } from '../../shared/inspection-service.ts';
import { labService, type LabClient } from '../../shared/lab-service.ts';
import { DomainSpec, HostSpec } from '../../shared/model.ts';
import { connect, fromNodePort } from '../../shared/rpc.ts';

const SECOND = 1e9;
let lab: Lab;
let client: LabClient;
const uuids: Record<string, string> = {};

/** Types a line and runs until the console has answered with `wanted`. */
async function command(name: string, line: string, wanted: RegExp): Promise<void> {
  const { console } = lab.domain(uuids[name]!);
  const from = console.end;
  await lab.typeConsole(uuids[name]!, new TextEncoder().encode(`${line}\r`));
  const shows = (): boolean => wanted.test(new TextDecoder().decode(console.since(from)));
  expect(await lab.clock.advance(20 * SECOND, shows), `${name}: ${line}`).toBe(true);
}

beforeAll(async () => {
  lab = new Lab({ name: 'inside', path: '/nowhere', seed: 1, spawn: spawnHostWorker, readKernel });
  const { port1, port2 } = new MessageChannel();
  new LabServer(lab, { savedUpTo: 0, bytes: 0, exportTo: () => Promise.resolve() }).attach(fromNodePort(port1));
  client = connect(labService, fromNodePort(port2));
  await lab.addHost(HostSpec.parse({ name: 'alder', memoryMiB: 512, pcpus: 2, clockMHz: 250 }));
  await lab.addHost(HostSpec.parse({ name: 'birch', memoryMiB: 256, pcpus: 1, clockMHz: 250 }));
  const guests = [
    ['pv', 'alder', 'builtin:dinghy-pv64'],
    ['pvh', 'alder', 'builtin:dinghy-hw64'],
    ['native', 'birch', 'builtin:dinghy-hw64'],
  ] as const;
  for (const [mode, host, kernel] of guests)
    uuids[mode] = await lab.createDomain(host, DomainSpec.parse({ name: mode, mode, kernel, memoryMiB: 64 }));
  for (const mode of Object.keys(uuids))
    expect(
      await lab.clock.advance(20 * SECOND, () =>
        /\$ |# /.test(new TextDecoder().decode(lab.domain(uuids[mode]!).console.tail(4096))),
      ),
      `${mode} boots`,
    ).toBe(true);
});
afterAll(async () => {
  client.close();
  await lab.close();
});

describe('xenstore', () => {
  it('is browsed, watched and written where no protocol runs', async () => {
    const domid = lab.domain(uuids.pv!).domid;
    const base = `/local/domain/${domid}`;
    expect((await client.storeNode({ host: 'alder', path: base })).children).toEqual(
      expect.arrayContaining(['console', 'data', 'memory', 'name', 'store']),
    );
    expect(await client.storeNode({ host: 'alder', path: `${base}/name` })).toMatchObject({
      value: 'pv',
      permissions: `n0,r${domid}`,
      editable: false,
      children: [],
    });
    const heard = new Promise<string[]>((resolve) => {
      const stop = client.on('storeChanged', { host: 'alder', path: `${base}/data` }, (paths) => {
        stop();
        resolve(paths);
      });
    });
    await client.storeNode({ host: 'alder', path: '/' }); // the watch is set by now
    await command('pv', 'xenstore write data/key hello', /[$#] $/);
    expect(await heard).toContain(`${base}/data/key`);
    expect(await client.storeNode({ host: 'alder', path: `${base}/data/key` })).toMatchObject({
      value: 'hello',
      permissions: `n${domid}`,
      editable: true,
    });
    await client.storeWrite({ host: 'alder', path: `${base}/data/key`, value: 'from the lab' });
    await command('pv', 'xenstore read data/key', /from the lab/);
    await client.storeRemove({ host: 'alder', path: `${base}/data/key` });
    await expect(client.storeNode({ host: 'alder', path: `${base}/data/key` })).rejects.toMatchObject({
      code: 'not-found',
    });
    await expect(client.storeWrite({ host: 'alder', path: `${base}/name`, value: 'x' })).rejects.toMatchObject({
      code: 'not-possible-now',
    });
  });
});

describe('devices', () => {
  it('of a domain are its rings and split drivers, those of a machine its registers', async () => {
    const pv = await client.devices({ uuid: uuids.pv! });
    expect(pv.map((d) => d.id)).toEqual(expect.arrayContaining(['console', 'xenstore', 'grants']));
    const printed = pv.find((d) => d.id === 'console')!.counters.find((c) => c.label === 'printed')!;
    expect(printed.value).toBe(lab.domain(uuids.pv!).console.end);
    const pvh = await client.devices({ uuid: uuids.pvh! });
    expect(pvh.map((d) => d.id)).toContain('local-apic/0');
    const native = await client.devices({ uuid: uuids.native! });
    const pit = native.find((d) => d.id === 'pit8254')!;
    expect(pit.facts.find((f) => f.label === 'channels 0.mode')).toBeDefined();
    expect(native.map((d) => d.id)).toEqual(
      expect.arrayContaining(['uart16550', 'io-apic', 'local-apic/0', 'vga-text']),
    );
  });
});

describe('frames', () => {
  it('have the types that the hypervisor holds them as', async () => {
    const { spec } = lab.domain(uuids.pv!);
    const frames = await client.frames({ uuid: uuids.pv!, first: 0, count: 4096 });
    expect(frames.map((f) => f.pfn)).toEqual(Array.from({ length: 4096 }, (_, n) => n));
    const types = new Set(frames.map((f) => f.type));
    for (const type of ['l1', 'l4 pinned', 'writable']) expect([...types]).toContain(type);
    for (const f of frames.filter((x) => x.type.startsWith('l'))) expect(f.typeCount).toBeGreaterThan(0);
    const end = await client.frames({ uuid: uuids.pv!, first: spec.memoryMiB * 256 - 2, count: 100 });
    expect(end).toHaveLength(2);
    expect((await client.frames({ uuid: uuids.native!, first: 5, count: 1 }))[0]).toMatchObject({
      mfn: 5,
      type: 'RAM',
    });
    const pvh = await client.frames({ uuid: uuids.pvh!, first: 256, count: 16 });
    expect(new Set(pvh.map((f) => f.mfn)).size).toBe(16);
  });
});

describe('schedule', () => {
  it('has the slices of both domains on both processors, none at one time on one processor', async () => {
    await command('pv', 'burn 20', /result burn/);
    await command('pvh', 'burn 20', /result burn/);
    const to = lab.clock.now;
    const slices = await client.schedule({ host: 'alder', from: 0, to, limit: 20_000 });
    expect(new Set(slices.map((s) => s.uuid))).toEqual(new Set([uuids.pv, uuids.pvh]));
    expect(new Set(slices.map((s) => s.ended))).toContain('blocked');
    for (const pcpu of [0, 1]) {
      const here = slices.filter((s) => s.pcpu === pcpu).sort((a, b) => a.from - b.from);
      here.forEach((s, n) => {
        expect(s.to).toBeGreaterThan(s.from);
        if (n) expect(s.from).toBeGreaterThanOrEqual(here[n - 1]!.to);
      });
    }
    const ran = slices.filter((s) => s.uuid === uuids.pv).reduce((sum, s) => sum + s.to - s.from, 0);
    expect(ran / (await lab.figures(uuids.pv!)).cpuNs).toBeCloseTo(1, 1);
  });
});

describe('trace', () => {
  it('records what the hypervisor does while it is on, and is filtered, followed and exported', async () => {
    expect(await client.traceStatus({})).toEqual({ recording: false, kept: 0, lost: 0 });
    await client.setTracing({ recording: true });
    const followed: TraceRecord[] = [];
    const stop = client.on('trace', { uuids: [uuids.pv!] }, ({ records }) => followed.push(...records));
    await client.traceStatus({});
    await command('pv', 'xenstore write data/traced yes', /[$#] $/);
    await command('pvh', 'echo here', /here\r\n/);
    await vi.waitUntil(() => followed.length > 0, 5000);
    stop();
    await client.setTracing({ recording: false });
    const { kept } = await client.traceStatus({});
    const all = await client.trace({ limit: 5000 });
    expect(kept).toBeGreaterThan(20);
    const kinds = new Set(all.map((r) => r.kind));
    for (const kind of ['hypercall', 'exit', 'fault', 'event', 'schedule', 'device'] as const)
      expect([...kinds]).toContain(kind);
    expect(followed.every((r) => r.uuid === uuids.pv)).toBe(true);
    const sends = await client.trace({
      filter: { uuids: [uuids.pv!], kinds: ['hypercall'], text: 'event_channel_op send' },
    });
    expect(sends.length).toBeGreaterThan(0);
    for (const r of sends) expect(r).toMatchObject({ host: 'alder', uuid: uuids.pv, result: '0' });
    expect(sends.every((r) => r.ns > 0)).toBe(true);
    const of = await client.trace({ filter: { kinds: ['device'], text: 'xenstore WRITE' } });
    expect(of.map((r) => r.uuid)).toContain(uuids.pv);
    const older = await client.trace({ before: { alder: sends[0]!.index }, limit: 5000 });
    expect(older.at(-1)!.index).toBe(sends[0]!.index - 1);
    // off: nothing more is recorded
    await command('pv', 'echo unseen', /unseen\r\n/);
    expect((await client.traceStatus({})).kept).toBe(kept);
    const path = join(mkdtempSync(join(tmpdir(), 'trace-')), 'trace.jsonl');
    const { records } = await client.exportTrace({ filter: { kinds: ['hypercall'] }, path });
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    expect(lines).toHaveLength(records);
    expect(JSON.parse(lines[0]!)).toMatchObject({ kind: 'hypercall', host: 'alder' });
    rmSync(path);
  });
});

describe('debugger', () => {
  for (const mode of ['pv', 'pvh', 'native'] as const)
    it(`looks into a ${mode} domain, steps it and stops it at breakpoints`, async () => {
      const uuid = uuids[mode]!;
      await lab.typeConsole(uuid, new TextEncoder().encode('burn 600\r'));
      await lab.clock.step(100e6);
      await lab.pauseDomain(uuid);
      const [report] = await client.vcpus({ uuid });
      expect(report!.mode).toBe(mode === 'pv' ? '64-bit, ring 3 (guest program)' : '64-bit, ring 3');
      expect(report!.registers.find((r) => r.name === 'CR0')!.note).toContain('PG');
      expect(report!.registers.find((r) => r.name === 'RFLAGS')!.note).toContain('IF');
      // memory at RIP is what the disassembler shows
      const lines = await client.disassemble({ uuid, count: 8 });
      expect(lines).toHaveLength(8);
      expect(lines[0]).toMatchObject({ address: report!.rip, current: true, breakpoint: false });
      const bytes = await client.readMemory({ uuid, address: report!.rip, bytes: 4 });
      expect(Buffer.from(bytes as number[]).toString('hex')).toBe(
        lines
          .map((l) => l.bytes)
          .join('')
          .slice(0, 8),
      );
      expect(await client.readMemory({ uuid, address: '0x7ffffffff000', bytes: 2 })).toEqual([null, null]);
      const stack = await client.stack({ uuid, entries: 4 });
      expect(stack[0]!.address).toBe(
        `0x${BigInt(report!.registers.find((r) => r.name === 'RSP')!.value).toString(16)}`,
      );
      // the kernel's own names, at its page fault handler
      if (mode !== 'pv') {
        const idt = BigInt(report!.registers.find((r) => r.name === 'IDTR')!.value);
        const gate = await client.readMemory({ uuid, address: `0x${(idt + 14n * 16n).toString(16)}`, bytes: 16 });
        const view = Buffer.from(gate as number[]);
        const high = BigInt(view.readUInt32LE(8));
        const handler = (high << 32n) | BigInt(view.readUInt16LE(6) * 65536 + view.readUInt16LE(0));
        const [first, second] = await client.disassemble({ uuid, address: `0x${handler.toString(16)}`, count: 2 });
        expect(first!.symbol).toMatch(/^\w+(\+0x[0-9a-f]+)?$/);
        expect(second!.symbol).toMatch(/^\w+\+0x[0-9a-f]+$/);
      }
      // one instruction at a time, each a cycle of 4 ns
      for (let n = 0; n < 30; n++) {
        const [here, next] = await client.disassemble({ uuid, count: 2 });
        const at = lab.clock.now;
        const before = (await client.vcpus({ uuid }))[0]!.instructions;
        const after = await client.stepInstruction({ uuid });
        expect([after.instructions - before, lab.clock.now - at]).toEqual([1, 4]);
        if (!/^(j|call|ret|loop|rep|sys|int)/.test(here!.text)) expect(after.rip).toBe(next!.address);
      }
      // a breakpoint in the loop that it is in
      const address = (await client.vcpus({ uuid }))[0]!.rip;
      await client.stepInstruction({ uuid });
      await client.setBreakpoint({ uuid, address, on: true });
      expect(await client.breakpoints({ uuid })).toEqual([address]);
      for (let n = 0; n < 3; n++) {
        await lab.unpauseDomain(uuid);
        expect(await lab.clock.advance(SECOND, () => lab.domain(uuid).status.state === 'paused')).toBe(true);
        expect(lab.domain(uuid).status.reason).toBe(`vCPU 0 reached the breakpoint at ${address}.`);
        expect((await client.disassemble({ uuid, count: 1 }))[0]).toMatchObject({
          address,
          breakpoint: true,
          current: true,
        });
      }
      expect(lab.events.at(-1)!.text).toContain('reached the breakpoint');
      await client.setBreakpoint({ uuid, address, on: false });
      await lab.unpauseDomain(uuid);
      await expect(client.stepInstruction({ uuid })).rejects.toMatchObject({ code: 'not-possible-now' });
      await command(mode, '', /result burn/);
    });
});
