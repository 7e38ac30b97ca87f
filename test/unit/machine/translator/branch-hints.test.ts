// Branch hints stand where the branch hinting proposal wants them: at the offset of the branch in its function's body.

import { expect, it } from 'vitest';
import { ModuleBuilder } from '../../../../main/machine/wasm/module.ts';
import { i32 } from '../../../../main/machine/wasm/expr.ts';

it('a hint names its function and the offset of the branch', () => {
  const m = new ModuleBuilder();
  m.import('memory_user', [], []);
  m.func('plain', ['i32'], ['i32'], (f) => f.return(f.params[0]!));
  m.func(
    'hinted',
    ['i32'],
    ['i32'],
    (f) => {
      const [x] = f.params as [(typeof f.params)[0]];
      const y = f.let(x.add(1));
      f.if(x, () => f.return(y), undefined, false);
      f.block((end) => {
        f.brIf(end, y, true);
        f.return(i32(7));
      });
      f.return(i32(9));
    },
    true,
  );
  const bytes = m.build(1);
  const module = new WebAssembly.Module(bytes);
  const [section] = WebAssembly.Module.customSections(module, 'metadata.code.branch_hint');
  // one function, number 2 (an import and `plain` come first), two hints of one byte each
  const [functions, index, hints, first, size1, value1, second, size2, value2] = new Uint8Array(section!);
  expect([functions, index, hints, size1, value1, size2, value2]).toEqual([1, 2, 2, 1, 0, 1, 1]);
  // the body of `hinted` is the last one: it ends with i32.const 9, return, end
  const end = bytes.length;
  expect([...bytes.slice(end - 4)]).toEqual([0x41, 9, 0x0f, 0x0b]);
  // its size is the byte in front of it: look for the place from which a body of that size reaches to the end
  const start = [...bytes.keys()].findLast((at) => at > 0 && bytes[at - 1] === end - at && bytes[at] === 1)!;
  expect(bytes[start + first!]).toBe(0x04);
  expect(bytes[start + second!]).toBe(0x0d);
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536 });
  const env = { memory, memory_user: () => {} };
  const { hinted } = new WebAssembly.Instance(module, { env }).exports as { hinted: (x: number) => number };
  expect([hinted(4), hinted(0), hinted(-1)]).toEqual([5, 9, 0]);
});
