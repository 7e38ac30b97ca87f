// xl.cfg keys for pinning and shaping.

import { expect, it } from 'vitest';
import { readXlConfig } from '../../../main/toolstack/xl-config.ts';

const read = (text: string) => readXlConfig(text, 'guest.cfg');

it('cpus names pCPUs one by one, as ranges and with exclusions', () => {
  expect(read('cpus = "0-3,^1,6"').spec.cpus).toEqual([0, 2, 3, 6]);
  expect(read('cpus = [2, 0]').spec.cpus).toEqual([0, 2]);
  expect(read('cpus = "all"').spec.cpus).toBeUndefined();
  expect(read('cpus = "all"').ignored).toEqual([]);
  expect(() => read('cpus = "some"')).toThrow();
  expect(() => read('cpus = "1,^1"')).toThrow();
});

it('rate of an interface is bits or bytes in a second', () => {
  const rate = (text: string) =>
    (read(`vif = ["bridge=br0,rate=${text}"]`).spec as { nics: { rateKbit: number }[] }).nics[0].rateKbit;
  expect(rate('10Mb/s')).toBe(10_000);
  expect(rate('1MB/s@20ms')).toBe(8_000);
  expect(rate('500Kb/s')).toBe(500);
  expect(() => rate('fast')).toThrow();
});
