// From what columns print to figures: who is right, what is warm-up, which ratio a bar is compared with.
import { describe, expect, test } from 'vitest';
import { reached } from '../../bench/bars.ts';
import { chart } from '../../bench/chart.ts';
import { Marks, type Column } from '../../bench/marks.ts';
import { choose, type Run } from '../../bench/plan.ts';
import { merge } from '../../bench/report.ts';
import { Gathered, type Results } from '../../bench/results.ts';
import { grids, toMarkdown } from '../../bench/tables.ts';

const run = (column: string, table = 'kernels32', boot: string[] = []): Run => ({
  ...{ title: 'kernels', column, script: '', environment: {}, rounds: 1, prepared: false, boot, table },
  job: { bits: 32, mode: 'native', image: '', ramdisk: null, commandLine: '', command: null },
});
const sample = (checksum: string, ...cpu: number[]): Column => ({ crc32: { checksum, cpu, wall: cpu } });

function gather(...answers: [Run, Column][]): Results['tables'] {
  const gathered = new Gathered();
  for (const [from, column] of answers) gathered.add(from, { column });
  return gathered.tables([0, 0]);
}

describe('figures', () => {
  test('the first repetition of each process stands apart from all later ones', () => {
    const tables = gather([run('v86'), sample('a', 90, 10, 14)], [run('v86'), sample('a', 110, 12, 40)]);
    expect(tables.kernels32!.rows.crc32!.columns.v86).toMatchObject({ first: 100, steady: 13, processes: 2 });
  });
  test('what differs from most columns has no time', () => {
    const tables = gather(
      [run('translator'), sample('a', 1, 1)],
      [run('v86'), sample('b', 1, 1)],
      [run('qemu'), sample('a', 1, 1)],
    );
    expect(tables.kernels32!.rows.crc32).toMatchObject({ checksum: 'a', differs: ['v86'] });
    expect(Object.keys(tables.kernels32!.rows.crc32!.columns)).toEqual(['translator', 'qemu']);
    expect(toMarkdown(grids(tables)[0]!)).toContain('| crc32 | 1.0 | differs | 1.0 (1.00) |');
  });
  test('a program inside Linux is right by what is known of it, not by majority', () => {
    const forks = (checksum: string): Column => ({ forks: { checksum, cpu: [5], wall: [5] } });
    const where = 'inside-686';
    const tables = gather(
      [run('v86', where), forks('199')],
      [run('qemu', where), forks('199')],
      [run('translator', where), forks('200')],
    );
    expect(tables[where]!.rows.forks!.differs).toEqual(['v86', 'qemu']);
  });
  test('one boot of QEMU stands beside every domain with its kernel', () => {
    const tables = gather([
      run('qemu', 'inside', ['amd64-pv', 'amd64-pvh']),
      { boot: { checksum: 'shell', cpu: [3], wall: [4] } },
    ]);
    expect(Object.keys(tables.boot!.rows)).toEqual(['amd64-pv', 'amd64-pvh']);
    expect(tables.boot!.rows['amd64-pv']!.columns.qemu).toMatchObject({ first: 3, steady: null, firstWall: 4 });
  });
});

describe('a record', () => {
  test('takes the rows of a run and keeps the others', () => {
    const old = gather([run('v86', 'boot', []), { ...sample('a', 1), copy: { checksum: 'b', cpu: [2], wall: [2] } }]);
    const merged = merge(old, { boot: { ...gather([run('v86', 'boot'), sample('a', 9)]).boot!, load: [3, 5] } });
    expect(Object.keys(merged.boot!.rows)).toEqual(['crc32', 'copy']);
    expect(merged.boot!.rows.crc32!.columns.v86!.first).toBe(9);
    expect(merged.boot!.load).toEqual([0, 5]);
    const all = merge(merged, { boot: { ...merged.boot!, load: [2, 3] } });
    expect(all.boot!.load).toEqual([2, 3]);
  });
  test('keeps the columns of a row that a run did not measure, unless they computed something else', () => {
    const old = gather([run('v86', 'boot'), sample('a', 1)], [run('qemu', 'boot'), sample('a', 2)]);
    const again = merge(old, gather([run('v86', 'boot'), sample('a', 9)])).boot!.rows.crc32!;
    expect([again.columns.v86!.first, again.columns.qemu!.first]).toEqual([9, 2]);
    const other = merge(old, gather([run('v86', 'boot'), sample('b', 9)])).boot!.rows.crc32!;
    expect(Object.keys(other.columns)).toEqual(['v86']);
  });
});

describe('bars', () => {
  test('a bar is compared with the ratio of speeds, and what was not measured is not reached', () => {
    const tables = gather([run('translator'), sample('a', 50, 10)], [run('v86'), sample('a', 50, 30)]);
    const bars = reached(tables);
    expect(bars.find(({ text }) => text === 'kernels in 32 bits: v86')).toMatchObject({ bar: 2.5, reached: 3 });
    expect(bars.find(({ text }) => text === 'the slowest kernel: v86')).toMatchObject({ reached: 3, note: 'crc32' });
    expect(bars.find(({ text }) => text === 'kernels in 32 bits: QEMU')!.reached).toBeNull();
    expect(chart({ tables } as Results)).toContain('>crc32</text>');
  });
});

describe('marks', () => {
  test('Linux is given its command at the prompt, and what it types back is no mark', () => {
    const typed: string[] = [];
    let ms = 0;
    const clock = () => ({ cpu: ms, wall: ms });
    const marks = new Marks({ start: clock(), clock, linux: true, command: 'go', type: (t) => typed.push(t) });
    const print = (at: number, text: string): void => {
      ms = at;
      for (const c of text) marks.put(c);
    };
    print(7, 'E early\r\nbulkhead: shell ready\r\n');
    expect(typed).toEqual([]);
    print(9, '# ');
    expect(typed).toEqual(['go\n']);
    print(10, 'go\r\nB awk\r\n');
    print(15, 'E 12\r\n');
    expect(marks.done).toBe(false);
    print(16, 'DONE\r\n');
    expect(marks.done).toBe(true);
    expect(marks.column).toEqual({
      boot: { checksum: 'shell', cpu: [7], wall: [7] },
      awk: { checksum: '12', cpu: [5], wall: [5] },
    });
  });
});

describe('choice', () => {
  test('a kernel alone chooses the parts it occurs in, a part named beside it only that part', () => {
    expect(choose(['crc32'], null).parts).toEqual(['kernels32', 'kernels64']);
    expect(choose(['cold'], null).parts).toEqual(['kernels32']);
    expect(choose(['kernels64', 'crc32'], null)).toMatchObject({ parts: ['kernels64'], names: ['crc32'] });
    expect(() => choose(['crc23'], null)).toThrow(/no "crc23"/);
  });
});
