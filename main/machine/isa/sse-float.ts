// SSE, SSE2 and SSE3 floating-point instructions. The common cases of arithmetic are WebAssembly (sse-float-fast.ts says which);
// everything else is exact in main/machine/cpu/fpu/sse.ts, by one routine for each mandatory prefix.

import { instruction, type Instruction } from './instruction.ts';
import { fastPath } from './sse-float-fast.ts';

type Column = 'np' | '66' | 'f3' | 'f2';
const PREFIX: Record<Column, string> = { np: 'NP', '66': '66', f3: 'F3', f2: 'F2' };
const SUFFIX: Record<Column, string> = { np: 'ps', '66': 'pd', f3: 'ss', f2: 'sd' };
const SOURCE: Record<Column, string> = { np: 'Wx', '66': 'Wx', f3: 'Wd', f2: 'Wq' };
const COLUMNS: readonly Column[] = ['np', '66', 'f3', 'f2'];

const row = (name: string, column: Column, rest: string): Instruction => {
  const routine = `sse_${column}`;
  const opcode = parseInt(rest.slice(3, 5), 16);
  return Object.assign(
    instruction(name, [`${PREFIX[column]} ${rest}`], {}, (s) => {
      fastPath(s, opcode, column);
      s.system(routine);
    }),
    { routine },
  );
};
const family = (name: string, opcode: string, columns: readonly Column[] = COLUMNS, tail = ''): Instruction[] =>
  columns.map((c) => row(name + SUFFIX[c], c, `0F ${opcode} /r Vx,${SOURCE[c]}${tail}`));

export const sseFloat: Instruction[] = [
  ...family('sqrt', '51'),
  ...family('rsqrt', '52', ['np', 'f3']),
  ...family('rcp', '53', ['np', 'f3']),
  ...family('add', '58'),
  ...family('mul', '59'),
  ...family('sub', '5C'),
  ...family('min', '5D'),
  ...family('div', '5E'),
  ...family('max', '5F'),
  ...family('cmp', 'C2', COLUMNS, ',Ib'),
  row('ucomiss', 'np', '0F 2E /r Vx,Wd'),
  row('ucomisd', '66', '0F 2E /r Vx,Wq'),
  row('comiss', 'np', '0F 2F /r Vx,Wd'),
  row('comisd', '66', '0F 2F /r Vx,Wq'),
  row('cvtps2pd', 'np', '0F 5A /r Vx,Wq'),
  row('cvtpd2ps', '66', '0F 5A /r Vx,Wx'),
  row('cvtss2sd', 'f3', '0F 5A /r Vx,Wd'),
  row('cvtsd2ss', 'f2', '0F 5A /r Vx,Wq'),
  row('cvtdq2ps', 'np', '0F 5B /r Vx,Wx'),
  row('cvtps2dq', '66', '0F 5B /r Vx,Wx'),
  row('cvttps2dq', 'f3', '0F 5B /r Vx,Wx'),
  row('cvttpd2dq', '66', '0F E6 /r Vx,Wx'),
  row('cvtdq2pd', 'f3', '0F E6 /r Vx,Wq'),
  row('cvtpd2dq', 'f2', '0F E6 /r Vx,Wx'),
  row('cvtpi2ps', 'np', '0F 2A /r Vx,Qq'),
  row('cvtpi2pd', '66', '0F 2A /r Vx,Qq'),
  row('cvtsi2ss', 'f3', '0F 2A /r Vx,Ey'),
  row('cvtsi2sd', 'f2', '0F 2A /r Vx,Ey'),
  ...(['2C', '2D'] as const).flatMap((opcode) => {
    const t = opcode === '2C' ? 't' : '';
    return [
      row(`cvt${t}ps2pi`, 'np', `0F ${opcode} /r Nq,Wq`),
      row(`cvt${t}pd2pi`, '66', `0F ${opcode} /r Nq,Wx`),
      row(`cvt${t}ss2si`, 'f3', `0F ${opcode} /r Gy,Wd`),
      row(`cvt${t}sd2si`, 'f2', `0F ${opcode} /r Gy,Wq`),
    ];
  }),
  row('haddpd', '66', '0F 7C /r Vx,Wx'),
  row('haddps', 'f2', '0F 7C /r Vx,Wx'),
  row('hsubpd', '66', '0F 7D /r Vx,Wx'),
  row('hsubps', 'f2', '0F 7D /r Vx,Wx'),
  row('addsubpd', '66', '0F D0 /r Vx,Wx'),
  row('addsubps', 'f2', '0F D0 /r Vx,Wx'),
];
