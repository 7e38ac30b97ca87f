// The long form: cases on hardware and on the core, differences printed by encoding.
// node test/silicon/run.ts [--count N per encoding and mode] [--only NAME[,NAME]] [--except NAME,...] [--seed N] [--show N] [--mode 32|64]

import { parseArgs } from 'node:util';
import { At, type Case } from './case.ts';
import { describe, differences } from './compare.ts';
import { makeCases, subjects, ulpsOf } from './generator.ts';
import { nativeAvailable, runNative } from './native.ts';
import { Simulated } from './simulated.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '40' },
    only: { type: 'string' },
    except: { type: 'string' },
    seed: { type: 'string', default: '1' },
    show: { type: 'string', default: '1' },
    mode: { type: 'string' },
    brief: { type: 'boolean', default: false },
  },
});
if (!nativeAvailable()) {
  console.log('This machine has no gcc for x86-64 Linux, so there is no hardware to compare with.');
  process.exit(2);
}
const only = values.only?.split(',');
const except = values.except?.split(',');
const list = subjects().filter(
  (s) =>
    (!only ||
      only.some(
        (o) =>
          o === s.instruction.name ||
          (o.endsWith('*') && s.instruction.name.startsWith(o.slice(0, -1))) ||
          o === s.encoding.text,
      )) &&
    !except?.some(
      (o) => o === s.instruction.name || (o.endsWith('*') && s.instruction.name.startsWith(o.slice(0, -1))),
    ) &&
    (!values.mode || Number(values.mode) === s.mode),
);
const count = Number(values.count);
const simulated = new Simulated();
let total = 0;
let bad = 0;
const kinds = new Map<string, number>();
for (let at = 0; at < list.length; at += 50) {
  const batch: { c: Case; index: number }[] = [];
  list.slice(at, at + 50).forEach((s, k) => {
    for (const c of makeCases(s, count, Number(values.seed))) {
      c.set(At.id, batch.length);
      batch.push({ c, index: at + k });
    }
  });
  const expected = runNative(batch.map((b) => b.c));
  const shown = new Map<number, number>();
  batch.forEach(({ c, index }, n) => {
    const s = list[index]!;
    total++;
    if (expected[n]!.vector === 0xfe) return; // a loop: nothing to compare
    let diff: string[];
    try {
      diff = differences(expected[n]!, simulated.run(c), ulpsOf(s.instruction.name));
    } catch (error) {
      diff = [String(error)];
    }
    if (diff.length === 0) return;
    bad++;
    kinds.set(
      `${s.instruction.name} ${s.encoding.text} ${s.mode}`,
      (kinds.get(`${s.instruction.name} ${s.encoding.text} ${s.mode}`) ?? 0) + 1,
    );
    const seen = shown.get(index) ?? 0;
    if (seen >= Number(values.show)) return;
    shown.set(index, seen + 1);
    console.log(
      `${s.instruction.name} [${s.encoding.text}] ${values.brief ? `${s.mode} ${Buffer.from(c.code).toString('hex')} vector ${expected[n]!.vector}` : describe(c)}\n  ${diff.join('\n  ')}`,
    );
  });
}
console.log([...kinds].map(([k, n]) => `${n.toString().padStart(5)} ${k}`).join('\n'));
console.log(`${total - bad} of ${total} cases agree`);
process.exit(bad ? 1 : 0);
