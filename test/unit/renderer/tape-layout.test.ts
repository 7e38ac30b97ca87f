// Marks on the tape stay hittable however many events there are, and none is lost.
import { describe, expect, it } from 'vitest';
import { labelCrossed, layoutMarks, layoutTicks, tapeSpan } from '../../../renderer/frame/tape-layout.ts';

const S = 1e9;
const event = (id: number, at: number) => ({ id: String(id), at, label: `event ${id}` });
const join = (events: readonly unknown[]): string => `${events.length} events`;
const measure = (text: string): number => text.length * 6;

describe('tape', () => {
  it('always shows now, and grows in steps', () => {
    const spans = new Set<number>();
    for (let now = 0; now < 3600 * S; now += 7.3 * S) {
      expect(tapeSpan(now)).toBeGreaterThan(now);
      spans.add(tapeSpan(now));
    }
    expect(spans.size).toBeLessThan(25);
  });

  it('keeps marks 24 px apart and drops no event', () => {
    const events = Array.from({ length: 300 }, (_, i) => event(i, ((i * 7919) % 300) * 0.2 * S)).sort(
      (a, b) => a.at - b.at,
    );
    const marks = layoutMarks(events, 60 * S, 1000, measure, join);
    expect(marks.flatMap((mark) => mark.events)).toEqual(events);
    for (let i = 1; i < marks.length; i++) expect(marks[i].x - marks[i - 1].x).toBeGreaterThanOrEqual(24);
  });

  it('labels a mark only where the label ends before the next mark', () => {
    const marks = layoutMarks([event(1, 10 * S), event(2, 12 * S), event(3, 40 * S)], 60 * S, 1000, measure, join);
    expect(marks.map((mark) => mark.label)).toEqual([undefined, 'event 2', 'event 3']);
  });

  it('draws no label that the playhead crosses', () => {
    const [mark] = layoutMarks([event(1, 30 * S)], 60 * S, 1000, measure, join);
    expect([500, 511, 550, 571, 600].map((x) => labelCrossed(mark, x, measure))).toEqual([
      false,
      true,
      true,
      false,
      false,
    ]);
  });

  it('spaces its labelled ticks far enough apart at every zoom', () => {
    for (const span of [1, 3, 60, 500, 7200, 400_000].map((s) => s * S)) {
      const labelled = layoutTicks(span, 1400).filter((tick) => tick.label !== undefined);
      for (let i = 1; i < labelled.length; i++) expect(labelled[i].x - labelled[i - 1].x).toBeGreaterThanOrEqual(89);
      expect(labelled.length).toBeGreaterThan(0);
      expect(new Set(labelled.map((tick) => tick.label)).size).toBe(labelled.length);
    }
  });
});
