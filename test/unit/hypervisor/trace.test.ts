// The trace ring and the log of slices: what is kept, what is read, and that they are bounded.
import { describe, expect, it } from 'vitest';
import { operationOf, resultText } from '../../../main/hypervisor/hypercalls/operation-names.ts';
import { SliceLog } from '../../../main/hypervisor/scheduling/slices.ts';
import { Trace, TRACE_RECORDS, type TraceSelection, traceName } from '../../../main/hypervisor/trace.ts';

const CALL = traceName('hypercall', 'sched_op', [], { operation: operationOf('sched_op'), result: resultText });
const SEND = traceName('event', 'send', ['port']);
const FAULT = traceName('fault', '#PF', ['rip', 'error', 'address']);
const ALL: TraceSelection = { domids: [], kinds: [], text: '', failed: false };
const END = Number.MAX_SAFE_INTEGER;

function trace(): { t: Trace; clock: { now: number } } {
  const clock = { now: 1000 };
  const t = new Trace(() => clock.now);
  t.setRecording(true);
  return { t, clock };
}

describe('the trace', () => {
  it('keeps a call where it began, with its length, operation and result in words', () => {
    const { t, clock } = trace();
    t.enter();
    clock.now = 1200;
    const slot = t.begin(CALL, 3, 1, [1n, 0xffff_8000_0000_0000n, 7n], 2);
    t.add(SEND, 3, 1, 5);
    clock.now = 1500;
    t.end(slot, -22);
    expect(t.select(ALL, 0, END, 10).records).toEqual([
      {
        index: 1,
        at: 1000,
        kind: 'hypercall',
        domid: 3,
        vcpu: 1,
        name: 'sched_op block',
        args: '1 0xffff800000000000',
        result: '-EINVAL',
        ns: 500,
        failed: true,
      },
      {
        index: 2,
        at: 1200,
        kind: 'event',
        domid: 3,
        vcpu: 1,
        name: 'send',
        args: 'port=5',
        result: '',
        ns: 0,
        failed: false,
      },
    ]);
    // only the first call after leaving the guest began when the guest left
    const second = t.begin(CALL, 3, 1, [0n], 1);
    t.end(second, 0);
    expect(t.select(ALL, 2, END, 10).records).toMatchObject([{ at: 1500, name: 'sched_op yield', result: '0', ns: 0 }]);
  });
  it('is read by kind, domain, text and failure, newest last, in pages', () => {
    const { t } = trace();
    for (let n = 0; n < 10; n++) t.add(SEND, n % 2, 0, n);
    t.addWide(FAULT, 1, 0, [0xffff_ffff_8100_0000n, 2n, 0xdead_beefn]);
    t.end(t.begin(CALL, 0, 0, [0n], 1), -1);
    const args = (want: Partial<TraceSelection>, before = END, limit = 3): string[] =>
      t.select({ ...ALL, ...want }, 0, before, limit).records.map((r) => r.args);
    expect(args({ kinds: ['event'] })).toEqual(['port=7', 'port=8', 'port=9']);
    expect(args({ kinds: ['event'] }, 8)).toEqual(['port=4', 'port=5', 'port=6']);
    expect(args({ domids: [1], kinds: ['event'] })).toEqual(['port=5', 'port=7', 'port=9']);
    expect(args({ text: 'DEADBEEF' })).toEqual(['rip=0xffffffff81000000 error=2 address=0xdeadbeef']);
    expect(t.select({ ...ALL, failed: true }, 0, END, 9).records.map((r) => r.name)).toEqual(['sched_op yield']);
    expect(t.select({ ...ALL, kinds: ['event'] }, 4, END, 2, true)).toMatchObject({ more: 4 });
  });
  it('keeps what was recorded when it is turned off, and its latest records only', () => {
    const { t } = trace();
    for (let n = 0; n < TRACE_RECORDS + 5; n++) t.add(SEND, 1, 0, n);
    t.setRecording(false);
    expect([t.kept, t.lost]).toEqual([TRACE_RECORDS, 5]);
    expect(t.select(ALL, 0, END, TRACE_RECORDS + 9).records[0]).toMatchObject({ index: 6, args: 'port=5' });
  });
});

describe('operations of hypercalls', () => {
  it('are named by their first argument', () => {
    expect(operationOf('event_channel_op')!([4n])).toBe('send');
    expect(operationOf('memory_op')!([6n | (1n << 40n)])).toBe('populate_physmap');
    expect(operationOf('sched_op')!([99n])).toBe('operation 99');
    expect(operationOf('mmu_update')).toBeNull();
    expect(resultText(-38)).toBe('-ENOSYS');
    expect(resultText(17)).toBe('17');
  });
});

describe('slices', () => {
  it('of a stretch of time are those that overlap it, the newest win', () => {
    const log = new SliceLog(4);
    for (let n = 0; n < 6; n++) log.add(n % 2, 1, 0, n * 10, n * 10 + 10, 1);
    expect(log.between(0, 100, 9).map((s) => s.from)).toEqual([20, 30, 40, 50]);
    expect(log.between(35, 45, 9).map((s) => s.from)).toEqual([30, 40]);
    expect(log.between(0, 100, 1)).toEqual([{ pcpu: 1, domid: 1, vcpu: 0, from: 50, to: 60, ended: 'blocked' }]);
    expect(log.latest(2).map((s) => s.to)).toEqual([50, 60]);
    expect(log.latest(0)).toEqual([]);
    expect(log.latest(99)).toHaveLength(4);
  });
});
