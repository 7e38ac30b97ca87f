// The learning switch.

import { expect, it } from 'vitest';
import { Switch, type SwitchPort } from '../../../main/backends/network/switch.ts';

const frame = (to: number, from: number) => Uint8Array.of(0, 0, 0, 0, 0, to, 0, 0, 0, 0, 0, from, 8, 0, 1, 2);
const broadcast = (from: number) => Uint8Array.of(255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, from, 8, 6);

function setUp() {
  const s = new Switch();
  const got: string[] = [];
  const port = (name: string): SwitchPort => {
    const p = { deliver: (f: Uint8Array, blank: boolean) => void got.push(`${name}:${f[11]}${blank ? '!' : ''}`) };
    s.plug(p);
    return p;
  };
  return { s, got, a: port('a'), b: port('b'), c: port('c') };
}

it('floods what it does not know, and learns who is where', () => {
  const { s, got, a, b } = setUp();
  s.forward(a, frame(2, 1), false);
  expect(got.splice(0)).toEqual(['b:1', 'c:1']);
  s.forward(b, frame(1, 2), true);
  expect(got.splice(0)).toEqual(['a:2!']);
  s.forward(a, frame(2, 1), false);
  expect(got.splice(0)).toEqual(['b:1']);
  s.forward(a, broadcast(1), false);
  expect(got.splice(0)).toEqual(['b:1', 'c:1']);
});

it('follows an address that moves, and forgets one that is unplugged', () => {
  const { s, got, a, b, c } = setUp();
  s.forward(a, frame(9, 1), false);
  s.forward(c, frame(9, 1), false);
  got.length = 0;
  s.forward(b, frame(1, 2), false);
  expect(got.splice(0)).toEqual(['c:2']);
  s.unplug(c);
  s.forward(c, frame(9, 1), false); // on its way when the cable was pulled
  got.length = 0;
  s.forward(b, frame(1, 2), false);
  expect(got.splice(0)).toEqual(['a:2']);
});

it('does not send a frame back where it came from, nor take group addresses as sources', () => {
  const { s, got, a, b } = setUp();
  s.forward(a, frame(2, 1), false);
  got.length = 0;
  s.forward(a, frame(1, 1), false);
  expect(got).toEqual([]);
  const fake = frame(2, 7);
  fake[6] = 1;
  s.forward(b, fake, false);
  got.length = 0;
  s.forward(a, Uint8Array.of(1, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 1, 8, 0), false);
  expect(got.length).toBe(2);
  s.forward(a, new Uint8Array(13), false);
  expect(got.length).toBe(2);
});
