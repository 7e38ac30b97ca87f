// What the inspector's tabs make of the engine's answers: rates of devices, the unfolded store, the map of pages, the trace's
// list and its durations, registers that changed, memory dumps.
import { describe, expect, it } from 'vitest';
import { histogram, histogramCsv, quantile } from '../../../renderer/charts/histogram.ts';
import { counterRates } from '../../../renderer/inspector/counter-rates.ts';
import { cellKind, framesPerCell, pageKind, typeCounts } from '../../../renderer/inspector/frame-cells.ts';
import { dumpRows, isAddress } from '../../../renderer/inspector/hex-dump.ts';
import { childPath, parentPath, staleNodes, storeRows } from '../../../renderer/inspector/store-tree.ts';
import { changedRegisters } from '../../../renderer/stores/debug.ts';
import { pageBefore, withRecords } from '../../../renderer/stores/trace.ts';
import type {
  DeviceReport,
  FrameReport,
  StoreNode,
  TraceRecord,
  VcpuReport,
} from '../../../shared/inspection-service.ts';

describe('rates of a device', () => {
  const report = (at: number, packets: number) => ({
    at,
    devices: [
      { id: 'vif/0', counters: [{ label: 'packets', value: packets, unit: 'count' }] },
    ] as unknown as DeviceReport[],
  });

  it('are per second of lab time', () => {
    expect(counterRates(report(1e9, 100), report(3e9, 500)).get('vif/0 packets')).toBe(200);
  });

  it('are not made up: no first report, no time, a counter that went back', () => {
    expect(counterRates(undefined, report(1e9, 5)).size).toBe(0);
    expect(counterRates(report(1e9, 5), report(1e9, 9)).size).toBe(0);
    expect(counterRates(report(1e9, 50), report(2e9, 3)).size).toBe(0);
  });
});

describe('the unfolded store', () => {
  const node = (path: string, children: string[], value = ''): [string, StoreNode] => [
    path,
    { path, value, children, permissions: 'n0', editable: true },
  ];
  const nodes = new Map([
    node('/', ['local', 'vm']),
    node('/local', ['domain']),
    node('/local/domain', ['1'], 'x'),
    node('/vm', []),
  ]);

  it('shows children of open nodes only, in depth order', () => {
    const rows = storeRows('/', nodes, new Set(['/', '/local']));
    expect(rows.map((row) => [row.path, row.depth])).toEqual([
      ['/', 0],
      ['/local', 1],
      ['/local/domain', 2],
      ['/vm', 1],
    ]);
    expect(rows[3]).toMatchObject({ expandable: false, position: 2, siblings: 2 });
    expect(storeRows('/', nodes, new Set(['/local']))).toHaveLength(1);
  });

  it('reads again what changed, its parent, and what was below it', () => {
    expect(staleNodes(['/local/domain/1'], nodes)).toEqual(new Set(['/local/domain']));
    expect(staleNodes(['/local'], nodes)).toEqual(new Set(['/local', '/', '/local/domain']));
  });

  it('joins and parts paths at the root too', () => {
    expect(childPath('/', 'vm')).toBe('/vm');
    expect(childPath('/vm', 'a')).toBe('/vm/a');
    expect(parentPath('/vm')).toBe('/');
    expect(parentPath('/vm/a')).toBe('/vm');
  });
});

describe('the map of pages', () => {
  const frame = (type: string): FrameReport => ({ pfn: 0, mfn: 0, type, references: 1, typeCount: 1 });

  it('knows page tables of every level, pinned or not', () => {
    expect(['l1', 'L2', 'l4 pinned'].map(pageKind)).toEqual(['table', 'table', 'table']);
    expect(['writable', 'none', 'absent', 'segdesc', 'l5ish'].map(pageKind)).toEqual([
      'data',
      'untyped',
      'absent',
      'other',
      'other',
    ]);
  });

  it('shows the rarest kind of a cell, and nothing for a cell that was not read', () => {
    expect(cellKind([frame('writable'), frame('none'), frame('l1')])).toBe('table');
    expect(cellKind([frame('none'), frame('writable')])).toBe('data');
    expect(cellKind([])).toBeUndefined();
    expect(typeCounts([frame('a'), frame('b'), frame('b')])).toEqual([
      ['b', 2],
      ['a', 1],
    ]);
  });

  it('has at most 1024 cells', () => {
    for (const pages of [1, 1024, 1025, 8192, 786_432]) {
      const per = framesPerCell(pages);
      expect(pages / per).toBeLessThanOrEqual(1024);
      if (per > 1) expect(pages / (per / 2)).toBeGreaterThan(1024);
    }
  });
});

describe('the trace', () => {
  const record = (index: number, host = 'alder'): TraceRecord => ({ index, host }) as TraceRecord;

  it('lists each record once, newest first, no more than fit', () => {
    const shown = withRecords([record(3), record(2)], [record(3), record(4), record(5)], 3);
    expect(shown.map((entry) => entry.index)).toEqual([5, 4, 3]);
  });

  it('pages back from the oldest shown of each host', () => {
    expect(pageBefore([record(9), record(4, 'birch'), record(7), record(6, 'birch')])).toEqual({ alder: 7, birch: 4 });
  });

  it('counts every duration in exactly one class', () => {
    const classes = histogram([1, 2, 3, 5, 900, 1000, 1001]);
    expect(classes.reduce((sum, entry) => sum + entry.count, 0)).toBe(7);
    expect(classes[0]).toEqual({ upTo: 1, count: 1 });
    expect(classes.find((entry) => entry.upTo === 5)?.count).toBe(2);
    expect(classes.at(-1)).toEqual({ upTo: 2000, count: 1 });
    expect(histogramCsv(classes.slice(0, 2))).toBe('up_to_ns,count\n1,1\n2,1\n');
    expect(histogram([])).toEqual([]);
  });

  it('takes quantiles by nearest rank', () => {
    expect(quantile([4, 1, 3, 2], 0.5)).toBe(2);
    expect(quantile([4, 1, 3, 2], 0.99)).toBe(4);
    expect(quantile([], 0.5)).toBeUndefined();
  });
});

describe('the debugger', () => {
  const report = (vcpu: number, rax: string, rbx = '0x0'): VcpuReport =>
    ({
      vcpu,
      registers: [
        { name: 'rax', value: rax },
        { name: 'rbx', value: rbx },
      ],
    }) as unknown as VcpuReport;

  it('marks registers that changed, of the same vCPU only', () => {
    expect(changedRegisters(report(0, '0x1'), report(0, '0x2'))).toEqual(new Set(['rax']));
    expect(changedRegisters(report(1, '0x1'), report(0, '0x2')).size).toBe(0);
    expect(changedRegisters(undefined, report(0, '0x2')).size).toBe(0);
  });

  it('prints memory in rows of sixteen, with holes', () => {
    const bytes = [...Array.from({ length: 17 }, (_, i) => 0x40 + i), null];
    const rows = dumpRows('0xfffffffffffff000', bytes);
    expect(rows.map((row) => row.address)).toEqual(['0xfffffffffffff000', '0xfffffffffffff010']);
    expect(rows[0].text).toBe('@ABCDEFGHIJKLMNO');
    expect(rows[1].hex).toBe('50 ··');
  });

  it('takes addresses of up to sixteen digits', () => {
    expect(['0x0', '0xFFFFffff81000000'].every(isAddress)).toBe(true);
    expect(['', '81000000', '0x', '0x10000000000000000', '0xg'].some(isAddress)).toBe(false);
  });
});
