// A TCP connection of Dinghy over a bad network: frames are lost, and for a while none passes at all.
import { readFileSync } from 'node:fs';
import { afterEach, expect, it, vi } from 'vitest';
import { Switch } from '../../main/backends/network/switch.ts';
import { builtinImagePath } from '../../main/guests/templates.ts';
import { createSimulatedHost } from '../../main/toolstack/index.ts';
import { DomainSpec, HostSpec } from '../../shared/model.ts';
import type { VirtualNs } from '../../shared/units.ts';

afterEach(() => vi.restoreAllMocks());

/** Passes `fraction` of the frames on, chosen by a generator with a fixed start; none while `cut`. */
function badNetwork(loss: number): { cut: boolean; lost: number } {
  const network = { cut: false, lost: 0 };
  let state = 12345;
  const forward = Switch.prototype.forward;
  vi.spyOn(Switch.prototype, 'forward').mockImplementation(function (this: Switch, ...frame) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    if (network.cut || (state >>> 16) % 1000 < loss * 1000) network.lost++;
    else forward.apply(this, frame);
  });
  return network;
}

it('fetches whole files with 5% of the frames lost and 10 s without any', async () => {
  const network = badNetwork(0.05);
  const consoles = new Map<number, string>();
  const host = createSimulatedHost(HostSpec.parse({ name: 'host', pcpus: 1, memoryMiB: 64, clockMHz: 250 }), 1, {
    console: (domid, bytes) => void consoles.set(domid, (consoles.get(domid) ?? '') + Buffer.from(bytes).toString()),
    stateChanged: () => {},
  });
  const create = (name: string, mode: 'pv' | 'pvh', image: string, address: string): number | Promise<number> =>
    host.createDomain(
      DomainSpec.parse({
        ...{ name, mode, kernel: `builtin:${image}`, memoryMiB: 16 },
        ...{ cmdline: `ip=${address}/24`, nics: [{ bridge: 'br0' }] },
      }),
      { kernel: readFileSync(builtinImagePath(image)!), disks: [] },
    );
  const client = await create('client', 'pv', 'dinghy-pv64', '10.0.0.1');
  const server = await create('server', 'pvh', 'dinghy-hw64', '10.0.0.2');
  let now = 0;
  const run = (ms: number): void => {
    for (let i = 0; i < ms; i++) host.advance((now += 1e6) as VirtualNs);
  };
  /** Types a line and returns what the console says until `answer` comes, at most 120 s of virtual time later. */
  const ask = (domid: number, line: string, answer: RegExp): string => {
    const before = consoles.get(domid)!.length;
    host.consoleInput(domid, Buffer.from(`${line}\r`));
    for (let i = 0; i < 12_000 && !answer.test(consoles.get(domid)!.slice(before)); i++) run(10);
    return consoles.get(domid)!.slice(before);
  };
  run(50);
  expect(ask(server, 'httpd', /serving/)).toContain('serving on port 80');
  const sums = ask(client, 'wget 10.0.0.2/bin/sh | sum; sum /bin/sh', /\/bin\/sh\r/);
  const [fetched, own] = [...sums.matchAll(/^([0-9a-f]{8}) \d+ /gm)].map((match) => match[1]);
  expect(fetched).toBe(own);

  host.consoleInput(client, Buffer.from('web 10.0.0.2 1 /data/256\r'));
  run(100);
  network.cut = true;
  run(10_000);
  network.cut = false;
  expect(ask(client, '', /result web/)).toContain('fetches=1 bytes=262144 ');
  expect(network.lost).toBeGreaterThan(10);
  host.dispose();
});
