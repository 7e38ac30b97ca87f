// What a host does with the traffic of its guests: a capture that other programs can read, and a shaped interface.

import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Booted } from './booted.ts';

const image = (name: string) => readFileSync(new URL(`../../main/guests/dinghy/images/${name}`, import.meta.url));
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'bulkhead-capture-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Frames of a pcap file with their time in ns since 1970, read by the format's description. */
function readPcap(file: string): { at: bigint; frame: Uint8Array }[] {
  const bytes = readFileSync(file);
  expect([bytes.readUInt32LE(0), bytes.readUInt32LE(20)]).toEqual([0xa1b23c4d, 1]); // nanoseconds, Ethernet
  const frames: { at: bigint; frame: Uint8Array }[] = [];
  for (let at = 24; at < bytes.length; at += 16 + bytes.readUInt32LE(at + 8))
    frames.push({
      at: BigInt(bytes.readUInt32LE(at)) * 1_000_000_000n + BigInt(bytes.readUInt32LE(at + 4)),
      frame: bytes.subarray(at + 16, at + 16 + bytes.readUInt32LE(at + 8)),
    });
  return frames;
}

const start = (b: Booted, name: string, address: string, rateKbit?: number) =>
  b.start({
    spec: { name, mode: 'pv', memoryMiB: 16, cmdline: `ip=${address}/24`, nics: [{ bridge: 'br0', rateKbit }] },
    kernel: image('dinghy-pv64'),
  });

it('captures what an interface sends and gets, until it is told to stop', async () => {
  const b = new Booted(64);
  const [one, two] = [await start(b, 'one', '10.0.0.1'), await start(b, 'two', '10.0.0.2')];
  for (const domid of [one, two]) b.expect(domid, /\$ $/, 2000);
  b.advance(100);
  const file = join(folder, 'one.pcap');
  b.xen.startCapture(one, 0, file);
  b.type(one, 'ping 10.0.0.2 2');
  b.expect(one, /2 of 2 answered/, 10_000);
  expect(b.xen.domainStatus(one).captures).toEqual([{ nic: 0, path: file, bytes: statSync(file).size }]);
  b.xen.stopCapture(one, 0);
  expect(b.xen.domainStatus(one).captures).toEqual([]);
  const frames = readPcap(file);
  const echoes = frames.filter(({ frame }) => frame[12] === 8 && frame[13] === 0 && frame[23] === 1);
  // Request and reply in turns; the address that sent each lies at byte 26.
  expect(echoes.map(({ frame }) => [frame[34], frame[29]])).toEqual([
    [8, 1],
    [0, 2],
    [8, 1],
    [0, 2],
  ]);
  const times = frames.map(({ at }) => at);
  expect(times).toEqual([...times].sort((x, y) => (x < y ? -1 : 1)));
  expect(new Date(Number(times[0] / 1_000_000n)).toISOString()).toMatch(/^2026-01-01T00:00:0/);
  b.type(one, 'ping 10.0.0.2 1');
  b.expect(one, /1 of 1 answered/, 10_000);
  expect(readPcap(file)).toHaveLength(frames.length);
  expect(() => b.xen.startCapture(one, 1, file)).toThrow('has no network interface 1');
  expect(() => b.xen.startCapture(one, 0, join(folder, 'no', 'such.pcap'))).toThrow('cannot be written');
});

it('shapes what an interface sends to its rate, and loses nothing', async () => {
  const b = new Booted(64);
  const [server, client] = [await start(b, 'server', '10.0.0.2', 8_000), await start(b, 'client', '10.0.0.1')];
  for (const domid of [server, client]) b.expect(domid, /\$ $/, 2000);
  b.advance(100);
  b.type(server, 'httpd');
  b.expect(server, /serving on port 80/, 2000);
  const began = b.xen.host.now();
  b.type(client, 'web 10.0.0.2 1 /data/256');
  b.expect(client, /result web .* fetches=1 bytes=262144 /, 20_000);
  const seconds = (b.xen.host.now() - began) / 1e9;
  // 256 KiB at 1 MB/s and a little for headers.
  expect(seconds).toBeGreaterThan(0.262);
  expect(seconds).toBeLessThan(0.4);
});
