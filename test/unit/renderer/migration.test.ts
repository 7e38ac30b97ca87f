// What the window makes of migrations and schedules: runs and their numbers, the heat of memory, the parts of the downtime,
// predictions in words, slices and their totals, the shelf of saved domains.
import { describe, expect, it } from 'vitest';
import { predictionText } from '../../../renderer/lab/prediction-text.ts';
import { messages } from '../../../renderer/messages/index.ts';
import { isLive, runNumber, withReports } from '../../../renderer/stores/migrations.ts';
import { readSaved } from '../../../renderer/stores/saved.ts';
import { downtimeParts, heatCells, heatStep, powersOfTen } from '../../../renderer/views/migration-model.ts';
import { clipped, neighbourSlice, scheduleCsv, sliceAt, vcpuTotals } from '../../../renderer/views/schedule-model.ts';
import type { ScheduleSlice } from '../../../shared/inspection-service.ts';
import type { MigrationReport } from '../../../shared/migration-service.ts';

const run = (id: number, uuid: string, state: MigrationReport['state'] = 'done') =>
  ({ id, uuid, state }) as unknown as MigrationReport;

describe('runs', () => {
  it('are replaced by newer reports of themselves and stay in order', () => {
    const merged = withReports([run(3, 'a', 'live'), run(1, 'b')], [run(3, 'a', 'done'), run(2, 'a')]);
    expect(merged.map(({ id, state }) => [id, state])).toEqual([
      [1, 'done'],
      [2, 'done'],
      [3, 'done'],
    ]);
    expect(runNumber(merged, merged[2])).toBe(2);
    expect(runNumber(merged, merged[0])).toBe(1);
  });

  it('are live until they are done, failed or aborted', () => {
    const states: MigrationReport['state'][] = [
      'checking',
      'live',
      'stopped-and-copying',
      'resuming',
      'done',
      'failed',
      'aborted',
    ];
    expect(states.filter((state) => isLive(run(1, 'a', state)))).toEqual(states.slice(0, 4));
  });
});

describe('the working set', () => {
  it('counts rounds and pages of each cell', () => {
    const heat = heatCells([
      { round: 1, dirtied: [3, 0, 1] },
      { round: 2, dirtied: [2, 0, 0] },
    ]);
    expect(heat).toEqual({ rounds: [2, 0, 1], pages: [5, 0, 1], of: 2 });
    expect(heatCells([])).toEqual({ rounds: [], pages: [], of: 0 });
  });

  it('has six steps, of which the first is for what was never dirtied only', () => {
    expect([0, 1, 3, 5].map((n) => heatStep(n, 5))).toEqual([0, 1, 3, 5]);
    expect(heatStep(1, 29)).toBe(1);
    expect(heatStep(29, 29)).toBe(5);
    expect(heatStep(0, 29)).toBe(0);
  });

  it('fits a logarithmic axis', () => {
    expect(powersOfTen(50, 262_144)).toEqual([10, 100, 1000, 10_000, 100_000, 1_000_000]);
    expect(powersOfTen(0, 10)).toEqual([1, 10]);
  });
});

describe('the downtime', () => {
  it('lists the parts that took time, numbered by their place in the whole', () => {
    const parts = downtimeParts({ suspendNs: 3, lastPagesNs: 0, stateNs: 2, resumeNs: 0, networkNs: 1, totalNs: 6 });
    expect(parts.map(({ part, number, ns }) => [part, number, ns])).toEqual([
      ['suspendNs', 1, 3],
      ['stateNs', 3, 2],
      ['networkNs', 5, 1],
    ]);
  });
});

describe('a prediction in words', () => {
  it('is the refusal where there is one, and never a number that is not known', () => {
    expect(predictionText(undefined)).toBe(messages.migration.predicting);
    expect(predictionText({ refusal: 'birch is full.', totalNs: 1, downtimeNs: 1, bytes: 1 })).toBe('birch is full.');
    expect(predictionText({ refusal: null, totalNs: 9.8e9, downtimeNs: null, bytes: null }, true)).toMatch(
      /9\.8\u00a0s.*–.*–/,
    );
  });
});

describe('a schedule', () => {
  const slice = (pcpu: number, uuid: string, from: number, to: number, ended: ScheduleSlice['ended'] = 'blocked') => ({
    host: 'alder',
    pcpu,
    uuid,
    vcpu: 0,
    from,
    to,
    ended,
  });
  const slices = [slice(0, 'a', 0, 10), slice(1, 'a', 12, 20, 'preempted'), slice(0, 'b', 10, 15)];

  it('is clipped to what is shown', () => {
    expect(clipped(slices, 5, 13).map(({ from, to }) => [from, to])).toEqual([
      [5, 10],
      [10, 13],
      [12, 13],
    ]);
    expect(clipped(slices, 20, 30)).toEqual([]);
  });

  it('adds up per vCPU: time, slices, moves between pCPUs', () => {
    const totals = vcpuTotals(slices, 0, 20);
    expect(totals[0]).toEqual({
      uuid: 'a',
      vcpu: 0,
      ranNs: 18,
      slices: 2,
      longestNs: 10,
      moves: 1,
      blocked: 1,
      preempted: 1,
    });
    expect(totals[1]).toMatchObject({ uuid: 'b', ranNs: 5, moves: 0 });
  });

  it('finds who ran at a time, and the next change', () => {
    expect(sliceAt(slices, 0, 9)?.uuid).toBe('a');
    expect(sliceAt(slices, 0, 10)?.uuid).toBe('b');
    expect(sliceAt(slices, 1, 3)).toBeUndefined();
    expect(neighbourSlice(slices, 0, 0, 1)).toBe(10);
    expect(neighbourSlice(slices, 0, 10, -1)).toBe(0);
    expect(neighbourSlice(slices, 0, 10, 1)).toBeUndefined();
  });

  it('is written as comma-separated values', () => {
    expect(scheduleCsv(slices.slice(0, 1), () => 'web-01').split('\n')[1]).toBe('alder,0,web-01,a,0,0,10,blocked');
  });
});

describe('the shelf of saved domains', () => {
  it('takes only whole entries from what was stored', () => {
    const entry = { path: '/a.save', name: 'a', memoryMiB: 32, at: 1 };
    expect(readSaved(JSON.stringify([entry, { path: 7 }, null]))).toEqual([entry]);
    expect(readSaved('no json')).toEqual([]);
    expect(readSaved('{}')).toEqual([]);
  });
});
