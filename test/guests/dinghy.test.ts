// Every command of Dinghy on every kind of machine, through the command line that people use for scenarios.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { stringify } from 'yaml';

const root = new URL('../../', import.meta.url);
const motd = readFileSync(new URL('main/guests/dinghy/files/motd', root));
const machines = [
  { mode: 'pv', bits: 64, image: 'dinghy-pv64' },
  { mode: 'pv', bits: 32, image: 'dinghy-pv32' },
  { mode: 'pvh', bits: 64, image: 'dinghy-hw64' },
  { mode: 'pvh', bits: 32, image: 'dinghy-hw32' },
  { mode: 'native', bits: 64, image: 'dinghy-hw64' },
  { mode: 'native', bits: 32, image: 'dinghy-hw32' },
] as const;
type Machine = (typeof machines)[number];

/** A line typed and what must follow it; `$` at the end stands for the next prompt. */
type Dialogue = readonly (readonly [typed: string, ...answers: string[]])[];

const result = (name: string, { mode, bits }: Machine, fields: string): string =>
  `result ${name} machine=${mode}-${bits} vcpus=1 ${fields}`;

function dialogue(machine: Machine): Dialogue {
  const { mode, bits } = machine;
  return [
    ['help', 'ps +processes', 'shutdown +switch the machine off'],
    ['cpu', `machine ${mode}, ${bits}-bit`, mode === 'native' ? 'hypervisor none' : 'hypervisor Xen 4\\.'],
    ['ps', '1 +0 sleeping .* init', 'running .* ps'],
    ['mem', 'total \\d+ KiB', 'free \\d{4,} KiB'],
    ['uptime', 'up \\d+\\.\\d{3} s'],
    ['date', '2\\d{3}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d UTC'],
    ['dmesg', 'Dinghy 1\\.0: ', 'memory: '],
    ['echo one  "two  three"', '\\none two  three\\r'],
    ['ls /etc', `${motd.length} /etc/motd`],
    ['cat /etc/motd', 'Welcome aboard Dinghy'],
    ['sum /etc/motd', `${crc32(motd).toString(16).padStart(8, '0')} ${motd.length} /etc/motd`],
    ['cat /etc/motd | cat | count', `${motd.toString().split('\n').length - 1} lines, ${motd.length} bytes`],
    ['sleep 0.05', ''],
    ['burn 10', result('burn', machine, 'rounds=\\d+ ns=\\d{8} ')],
    ['calls 1000', result('calls', machine, 'n=1000 ')],
    ['forks 1000', result('forks', machine, 'n=1000 ')],
    ['signals 200', result('signals', machine, 'n=200 handled=200 alarms=1 woken=4 caught=11 deadly=137 ')],
    ['switch 200', result('switch', machine, 'round_trips=200 ')],
    ['faults 600', result('faults', machine, 'n=600 ')],
    ['dirty 2000 1 100', result('dirty', machine, 'pages=200 set_pages=256 ')],
    ['game 100', result('game', machine, 'ticks=7 ')],
    ['hog 4', result('hog', machine, 'mib=4')],
    ['hog 1000', 'hog\\[\\d+\\]: out of memory'],
    ['nonsense', 'nonsense: no such command'],
    ['kill 9999', 'kill: 9999: no such process'],
    ['cat /none', 'cat: /none: not found'],
    mode === 'native'
      ? ['xenstore read name', 'this machine has no xenstore']
      : ['xenstore write data/key "a value"; xenstore read data/key', '\\na value\\r'],
    ['clear', '\\x1b\\[H\\x1b\\[2J'],
    ['sh -c "true; status"', '\\n0\\r'],
    ['history', 'help', 'history'],
    ['mem', 'free \\d{4,} KiB'],
  ];
}

function scenario(machine: Machine): string {
  const steps: unknown[] = [{ expect: { domain: 'd', text: 'dinghy$ ', within: '1s' } }];
  for (const [typed, ...answers] of dialogue(machine)) {
    steps.push({ type: { domain: 'd', text: `${typed}\r` } });
    for (const regex of answers) if (regex) steps.push({ expect: { domain: 'd', regex, within: '20s' } });
    steps.push({ expect: { domain: 'd', text: 'dinghy$ ', within: '20s' } });
  }
  // Control-C ends both ends of a pipeline.
  steps.push(
    { type: { domain: 'd', text: 'burn 600000 | cat\r' } },
    { wait: '30ms' },
    { type: { domain: 'd', text: '\x03' } },
  );
  steps.push({ expect: { domain: 'd', text: 'dinghy$ ', within: '1s' } });
  steps.push({ type: { domain: 'd', text: 'ps | count\r' } });
  steps.push({ expect: { domain: 'd', regex: machine.mode === 'native' ? '5 lines' : '7 lines', within: '1s' } });
  steps.push({ expect: { domain: 'd', text: 'dinghy$ ' } });
  // The balloon gives 4 of 16 MiB back to the host, and takes them again.
  if (machine.mode !== 'native')
    steps.push(
      { balloon: { domain: 'd', memoryMiB: 12 } },
      { wait: '20ms' },
      { assert: { figure: 'domains.d.memoryMiB', above: 11.5, below: 12.5 } },
      { type: { domain: 'd', text: 'mem\r' } },
      { expect: { domain: 'd', text: 'balloon 4096 KiB', within: '1s' } },
      { balloon: { domain: 'd', memoryMiB: 16 } },
      { wait: '20ms' },
      { type: { domain: 'd', text: 'mem\r' } },
      { expect: { domain: 'd', text: 'balloon 0 KiB', within: '1s' } },
      { assert: { figure: 'domains.d.memoryMiB', above: 15.5 } },
    );
  // Once more from the start, by its own wish.
  steps.push(
    { type: { domain: 'd', text: 'reboot\r' } },
    { expect: { domain: 'd', text: 'Welcome aboard', within: '2s' } },
    { expect: { domain: 'd', text: 'dinghy$ ', within: '1s' } },
  );
  // Off at last: on request from outside where there is somebody to ask, by its own command on the bare machine.
  if (machine.mode === 'native') steps.push({ type: { domain: 'd', text: 'shutdown\r' } });
  else steps.push({ shutdown: 'd' }, { expect: { domain: 'd', text: 'shutdown requested', within: '1s' } });
  steps.push({ wait: '10ms' }, { assert: { figure: 'domains.d.state', equals: 'shutdown' } });
  return stringify({
    name: `Dinghy, ${machine.mode} ${machine.bits}`,
    hosts: [{ name: 'host', pcpus: 1, memoryMiB: 64, clockMHz: 250 }],
    domains: [{ name: 'd', host: 'host', mode: machine.mode, kernel: `builtin:${machine.image}`, memoryMiB: 16 }],
    steps,
  });
}

/** Two processes that only compute share two CPUs: both end in little more than the time of one. */
function severalCpus(machine: Machine): string {
  const steps: unknown[] = [
    { expect: { domain: 'd', text: '2 CPUs', within: '1s' } },
    { expect: { domain: 'd', text: 'dinghy$ ', within: '1s' } },
    { type: { domain: 'd', text: 'burn 40 & burn 40\r' } },
    { expect: { domain: 'd', regex: 'result burn machine=\\S+ vcpus=2', within: '70ms' } },
    { expect: { domain: 'd', regex: 'result burn machine=\\S+ vcpus=2', within: '20ms' } },
    { type: { domain: 'd', text: 'forks 200; switch 500; faults 600; sum /bin/sh | count\r' } },
    { expect: { domain: 'd', regex: 'result forks .* n=200 ', within: '5s' } },
    { expect: { domain: 'd', regex: 'result switch .* round_trips=500 ', within: '5s' } },
    { expect: { domain: 'd', regex: 'result faults .* n=600 ', within: '5s' } },
    { expect: { domain: 'd', text: '1 lines', within: '5s' } },
  ];
  return stringify({
    name: `Dinghy with two CPUs, ${machine.mode} ${machine.bits}`,
    hosts: [{ name: 'host', pcpus: 2, memoryMiB: 64, clockMHz: 250 }],
    domains: [
      { name: 'd', host: 'host', mode: machine.mode, kernel: `builtin:${machine.image}`, memoryMiB: 16, vcpus: 2 },
    ],
    steps,
  });
}

/** A database on a disk whose file is looked at afterwards; a full disk is an error and no hang. */
function disk(machine: Machine, path: string): string {
  const steps: unknown[] = [
    { expect: { domain: 'd', text: 'dinghy$ ', within: '1s' } },
    { wait: '20ms' },
    { type: { domain: 'd', text: 'dmesg; ls /dev; db /dev/xvda 100 256\r' } },
    { expect: { domain: 'd', text: '/dev/xvda: 1024 KiB' } },
    { expect: { domain: 'd', text: '1048576 /dev/xvda' } },
    { expect: { domain: 'd', regex: 'result db .* records=64 .* reads=100 ', within: '20s' } },
    { type: { domain: 'd', text: 'db /dev/xvda 1 4096\r' } },
    { expect: { domain: 'd', text: 'db: /dev/xvda: no space left', within: '20s' } },
    { type: { domain: 'd', text: 'db /dev/xvda 1 4; cat /etc/motd | count\r' } },
    { expect: { domain: 'd', regex: 'result db .* records=1 .* reads=1 ', within: '20s' } },
    { shutdown: 'd' },
    { wait: '10ms' },
    { assert: { figure: 'domains.d.state', equals: 'shutdown' } },
  ];
  return stringify({
    name: `Dinghy with a disk, ${machine.mode} ${machine.bits}`,
    hosts: [{ name: 'host', pcpus: 1, memoryMiB: 64, clockMHz: 250 }],
    domains: [
      {
        ...{ name: 'd', host: 'host', mode: machine.mode, kernel: `builtin:${machine.image}`, memoryMiB: 16 },
        disks: [{ path, vdev: 'xvda' }],
      },
    ],
    steps,
  });
}

/** One domain serves, another pings it, fetches from it and is refused. */
function network(client: Machine, server: Machine, capture: string): string {
  const domain = (name: string, machine: Machine, address: string): unknown => ({
    ...{ name, host: 'host', mode: machine.mode, kernel: `builtin:${machine.image}`, memoryMiB: 16 },
    ...{ cmdline: `ip=${address}/24`, nics: [{ bridge: 'br0' }] },
  });
  const steps: unknown[] = [
    { expect: { domain: 'client', text: 'dinghy$ ', within: '1s' } },
    { expect: { domain: 'server', text: 'dinghy$ ', within: '1s' } },
    { wait: '50ms' },
    { capture: { domain: 'client', file: capture } },
    { type: { domain: 'server', text: 'net; httpd\r' } },
    { expect: { domain: 'server', text: 'address 10.0.0.2' } },
    { expect: { domain: 'server', text: 'serving on port 80' } },
    { type: { domain: 'client', text: 'ping 10.0.0.2 2\r' } },
    { expect: { domain: 'client', text: '2 of 2 answered' } },
    { capture: { domain: 'client' } },
    { type: { domain: 'client', text: 'wget 10.0.0.2/bin/sh | sum; sum /bin/sh\r' } },
    { expect: { domain: 'client', regex: '[0-9a-f]{8} \\d{5} -' } },
    { type: { domain: 'client', text: 'web 10.0.0.2 3 /data/256\r' } },
    { expect: { domain: 'client', regex: 'result web .* fetches=3 bytes=786432 ', within: '20s' } },
    { type: { domain: 'client', text: 'wget 10.0.0.2/none; wget 10.0.0.2:81/; wget 10.0.0.9/\r' } },
    { expect: { domain: 'client', text: 'status 404' } },
    { expect: { domain: 'client', text: 'connection refused' } },
    { expect: { domain: 'client', text: 'no answer', within: '30s' } },
    { type: { domain: 'server', text: '\x03' } },
    { expect: { domain: 'server', text: 'dinghy$ ' } },
    { type: { domain: 'server', text: 'echod\r' } },
    { expect: { domain: 'server', text: 'listening on port 7' } },
    { type: { domain: 'client', text: 'udp 10.0.0.2:7 20 1472; udp 10.0.0.2:8 1\r' } },
    { expect: { domain: 'client', regex: 'result udp .* sent=20 answered=20 corrupt=0 bytes=1472 ', within: '20s' } },
    { expect: { domain: 'client', regex: 'result udp .* sent=1 answered=0 corrupt=0 ', within: '20s' } },
    { type: { domain: 'server', text: '\x03' } },
    { expect: { domain: 'server', text: 'dinghy$ ' } },
  ];
  return stringify({
    name: `Dinghy, ${client.mode} ${client.bits} fetches from ${server.mode} ${server.bits}`,
    hosts: [{ name: 'host', pcpus: 1, memoryMiB: 64, clockMHz: 250 }],
    domains: [domain('client', client, '10.0.0.1'), domain('server', server, '10.0.0.2')],
    steps,
  });
}

let folder: string;
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'dinghy-'))));
afterAll(() => rmSync(folder, { recursive: true }));

function runScenario(name: string, text: string): string {
  const file = join(folder, `${name}.yml`);
  writeFileSync(file, text);
  try {
    return execFileSync(process.execPath, ['main/engine/cli.ts', file], { cwd: root, encoding: 'utf8' });
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    return `${stdout}${stderr}`;
  }
}

it.each(machines.map((machine) => [`${machine.mode}-${machine.bits}`, machine] as const))(
  'every command, 1,000 forks in 16 MiB, no memory left, shutdown: %s',
  (name, machine) => {
    const output = runScenario(name, scenario(machine));
    expect(output.slice(-3000)).toMatch(/^Passed: (\d+) of \1 steps held/m);
  },
);

it.each(machines.map((machine) => [`${machine.mode}-${machine.bits}`, machine] as const))(
  'two CPUs work at once: %s',
  (name, machine) => {
    const output = runScenario(`smp-${name}`, severalCpus(machine));
    expect(output.slice(-3000)).toMatch(/^Passed: (\d+) of \1 steps held/m);
  },
);

it.each(
  machines
    .filter(({ mode }) => mode !== 'native')
    .map((machine) => [`${machine.mode}-${machine.bits}`, machine] as const),
)('a database on a disk, and the disk full: %s', (name, machine) => {
  const path = join(folder, `${name}.img`);
  writeFileSync(path, new Uint8Array(1 << 20));
  const output = runScenario(`disk-${name}`, disk(machine, path));
  expect(output.slice(-3000)).toMatch(/^Passed: (\d+) of \1 steps held/m);
  // Record 1 was written by the fill that found the disk full; its number stands at the head of its 4 KiB block.
  expect(readFileSync(path).readUInt32LE(4096)).toBe(1);
});

it.each([
  ['pv-64 from pvh-32', machines[0], machines[3]],
  ['pvh-64 from pv-32', machines[2], machines[1]],
  ['pv-32 from pvh-64', machines[1], machines[2]],
  ['pvh-32 from pv-64', machines[3], machines[0]],
] as const)('ping, a web server and what it refuses: %s', (name, client, server) => {
  const output = runScenario(
    `net-${name.replaceAll(' ', '-')}`,
    network(client, server, join(folder, `${client.image}.pcap`)),
  );
  expect(output.slice(-3000)).toMatch(/^Passed: (\d+) of \1 steps held/m);
  // Two echo requests and their answers are in the capture, as Ethernet frames (link type 1).
  const pcap = readFileSync(join(folder, `${client.image}.pcap`));
  expect([pcap.readUInt32LE(0), pcap.readUInt32LE(20)]).toEqual([expect.any(Number), 1]);
  const kinds: number[] = [];
  for (let at = 24; at < pcap.length; at += 16 + pcap.readUInt32LE(at + 8))
    if (pcap.readUInt16BE(at + 16 + 12) === 0x800 && pcap[at + 16 + 14 + 9] === 1) kinds.push(pcap[at + 16 + 14 + 20]!);
  expect(kinds).toEqual([8, 0, 8, 0]);
});
