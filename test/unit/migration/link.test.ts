// The link: times of frames, losses that repeat, shares of migrations; and the bridges joined over it.
import { describe, expect, it } from 'vitest';
import { Switch, type SwitchPort } from '../../../main/backends/network/switch.ts';
import { type LinkFrame, Uplinks } from '../../../main/backends/network/uplink.ts';
import { frameNs, Link, tcpRate } from '../../../main/engine/link.ts';
import type { LinkSpec } from '../../../shared/model.ts';

const gigabit: LinkSpec = { bandwidthMbit: 1000, latencyUs: 400, loss: 0 };
const mac = (n: number): number[] => [0, 0x16, 0x3e, 0, 0, n];
const frame = (to: number[], from: number[], at: number, length = 100): LinkFrame => {
  const bytes = new Uint8Array(length);
  bytes.set(to);
  bytes.set(from, 6);
  return { at, bridge: 'br0', bytes, checksumBlank: false };
};
const everyone = [255, 255, 255, 255, 255, 255];
const hosts = ['alder', 'birch', 'cedar'];

describe('frames', () => {
  it('take their bytes at the bandwidth, one after the other, and the latency', () => {
    const link = new Link(() => gigabit, 1);
    // 1,500 bytes and 24 of preamble, gap and check sequence: 12.192 us
    expect(frameNs(gigabit, 1500)).toBe(12_192);
    expect(frameNs(gigabit, 20)).toBe(672);
    link.carry('alder', [frame(mac(2), mac(1), 1000, 1500), frame(mac(2), mac(1), 1000, 1500)], hosts);
    expect(link.nextArrival()).toBe(1000 + 12_192 + 400_000);
    expect(link.arrivals('birch', 400_000)).toEqual([]);
    expect(link.arrivals('birch', 500_000).map((f) => f.at)).toEqual([413_192, 425_384]);
    expect(link.arrivals('birch', 500_000)).toEqual([]);
  });

  it('go to all hosts until their address was heard, then to one; it can move', () => {
    const link = new Link(() => gigabit, 1);
    const reached = (): string[] => hosts.filter((h) => link.arrivals(h, 1e12).length);
    link.carry('alder', [frame(mac(2), mac(1), 0)], hosts);
    expect(reached()).toEqual(['birch', 'cedar']);
    link.carry('birch', [frame(mac(1), mac(2), 0)], hosts);
    expect(reached()).toEqual(['alder']);
    link.carry('cedar', [frame(everyone, mac(1), 0)], hosts);
    expect(reached()).toEqual(['alder', 'birch']);
    link.carry('birch', [frame(mac(1), mac(2), 0)], hosts);
    expect(reached()).toEqual(['cedar']);
  });

  it('are lost as the seed says, about as often as the link says', () => {
    const lossy = { ...gigabit, loss: 0.25 };
    const run = (seed: number): number[] => {
      const link = new Link(() => lossy, seed);
      for (let i = 0; i < 1000; i++) link.carry('alder', [frame(everyone, mac(1), i * 1000)], ['alder', 'birch']);
      return link.arrivals('birch', 1e12).map((f) => f.at);
    };
    expect(run(3)).toEqual(run(3));
    expect(run(3)).not.toEqual(run(4));
    expect(run(3).length).toBeGreaterThan(700);
    expect(run(3).length).toBeLessThan(800);
  });
});

describe('migrations', () => {
  it('get the payload of full segments, and less of a link that loses', () => {
    expect(tcpRate(gigabit) * 8000).toBeCloseTo(941.48, 1);
    // Mathis et al.: MSS / RTT * sqrt(3/2) / sqrt(p) with 1,448 bytes, 0.8 ms and 1 %
    expect(tcpRate({ ...gigabit, loss: 0.01 }) * 8000).toBeCloseTo(((1448 * 8) / 800) * (Math.sqrt(1.5) / 0.1), 3);
    expect(tcpRate({ ...gigabit, bandwidthMbit: 10, loss: 0.0001 })).toBeCloseTo(
      tcpRate({ ...gigabit, bandwidthMbit: 10 }) * 0.9999,
      9,
    );
    expect(tcpRate({ ...gigabit, loss: 1 })).toBe(0);
  });

  it('share what the frames leave', () => {
    const link = new Link(() => gigabit, 1);
    const all = tcpRate(gigabit);
    expect(link.migrationRate('alder', 400_000, 1, 1)).toBe(all);
    expect(link.migrationRate('alder', 400_000, 2, 1)).toBe(all / 2);
    expect(link.migrationRate('alder', 400_000, 1, 3)).toBe(all / 3);
    // 200 us of frames in 400 us
    const filler = Array.from({ length: 16 }, () => frame(everyone, mac(1), 0, 1476));
    link.carry('alder', filler, hosts);
    expect(link.migrationRate('alder', 400_000, 1, 1)).toBeCloseTo(all * (1 - (16 * 12_000) / 400_000), 9);
    expect(link.migrationRate('birch', 400_000, 1, 1)).toBe(all);
    link.sharing();
    expect(link.migrationRate('alder', 400_000, 1, 1)).toBe(all);
  });
});

describe('bridges of one name', () => {
  function host(): {
    uplinks: Uplinks;
    bridge: Switch;
    run: (until: number) => void;
    ports: string[];
    plug: (n: string) => SwitchPort;
  } {
    let now = 0;
    const due: { at: number; callback: () => void }[] = [];
    const uplinks = new Uplinks({ now: () => now, schedule: (at, callback) => due.push({ at, callback }) });
    const bridge = new Switch();
    uplinks.attach('br0', bridge);
    const ports: string[] = [];
    return {
      uplinks,
      bridge,
      ports,
      plug: (name) => {
        const port = { deliver: (f: Uint8Array) => void ports.push(`${name}<${f[11]}@${now}`) };
        bridge.plug(port);
        return port;
      },
      run: (until) => {
        for (const d of due.splice(0).sort((a, b) => a.at - b.at)) {
          now = d.at;
          d.callback();
        }
        now = until;
      },
    };
  }

  it('are one network: a frame arrives at its time, is not sent back, and a bridge that is not there drops it', () => {
    const [a, b] = [host(), host()];
    const one = a.plug('one');
    b.plug('two');
    a.run(5000);
    a.bridge.forward(one, frame(mac(2), mac(1), 0).bytes, true);
    const [left] = a.uplinks.take();
    expect(left).toMatchObject({ at: 5000, bridge: 'br0', checksumBlank: true });
    expect(a.uplinks.take()).toEqual([]);
    b.uplinks.receive([
      { ...left!, at: 9000 },
      { ...left!, bridge: 'br7' },
    ]);
    b.run(10_000);
    expect(b.ports).toEqual(['two<1@9000']);
    expect(b.uplinks.take()).toEqual([]);
    expect(a.ports).toEqual([]);
  });

  it('learn where an address went when it is announced, before its interface is connected', () => {
    const [a, b] = [host(), host()];
    const client = a.plug('client');
    const server = a.plug('server');
    a.bridge.forward(server, frame(everyone, mac(9), 0).bytes, false);
    a.ports.length = 0;
    a.uplinks.take();
    // the server went to the other host
    a.bridge.unplug(server);
    const arrived: number[] = [];
    const port = { deliver: (f: Uint8Array) => void arrived.push(f[11]!) };
    b.bridge.announce(port, Uint8Array.from(mac(9)));
    const [said] = b.uplinks.take();
    expect([...said!.bytes.subarray(0, 14)]).toEqual([...everyone, ...mac(9), 0x80, 0x35]);
    a.uplinks.receive([said!]);
    a.run(1000);
    expect(a.ports).toEqual(['client<9@0']);
    a.bridge.forward(client, frame(mac(9), mac(1), 0).bytes, false);
    b.uplinks.receive(a.uplinks.take());
    b.run(2000);
    expect(arrived).toEqual([1]);
  });
});
