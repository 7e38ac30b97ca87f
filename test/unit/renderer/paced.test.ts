// Reports that cost much are drawn less often, and the newest is never lost.
import { describe, expect, it } from 'vitest';
import { paced } from '../../../renderer/composables/paced.ts';

function stage(cost: number) {
  let now = 0;
  let answeredAt = 0;
  const waiting: { run: () => void; at: number }[] = [];
  const applied: string[] = [];
  const send = paced<string>(
    (report) => {
      applied.push(`${now}:${report}`);
      now += cost;
    },
    {
      now: () => now,
      later: (run, ms) => void waiting.push({ run, at: now + ms }),
      settled: () => Promise.resolve(),
      answeredAt: () => answeredAt,
    },
  );
  const until = async (time: number): Promise<void> => {
    await Promise.resolve();
    await Promise.resolve();
    for (const next of waiting.splice(0)) {
      if (next.at > time) waiting.push(next);
      else {
        now = Math.max(now, next.at);
        next.run();
        await Promise.resolve();
        await Promise.resolve();
      }
    }
    now = Math.max(now, time);
  };
  const press = (answered: number): void => void (answeredAt = answered);
  return { send, applied, until, press };
}

describe('paced reports', () => {
  it('wait three times as long as the one before took, and only the newest is drawn', async () => {
    const { send, applied, until } = stage(20);
    send('a');
    send('b');
    send('c');
    await until(79);
    expect(applied).toEqual(['0:a']);
    await until(80);
    expect(applied).toEqual(['0:a', '80:c']);
  });

  it('are drawn at once after a rest', async () => {
    const { send, applied, until } = stage(5);
    send('a');
    await until(500);
    send('b');
    expect(applied).toEqual(['0:a', '500:b']);
  });

  it('wait for the answer to what the person just did', async () => {
    const { send, applied, until, press } = stage(20);
    send('a');
    send('b');
    press(120);
    await until(80);
    await until(119);
    expect(applied).toEqual(['0:a']);
    send('c');
    await until(120);
    expect(applied).toEqual(['0:a', '120:c']);
  });

  it('do not wait longer than 400 ms for somebody who never pauses', async () => {
    const { send, applied, until, press } = stage(20);
    send('a');
    send('b');
    press(10_000);
    await until(80);
    await until(479);
    expect(applied).toEqual(['0:a']);
    await until(480);
    expect(applied).toEqual(['0:a', '480:b']);
  });

  it('that are cheap wait for nobody', async () => {
    const { send, applied, until, press } = stage(5);
    send('a');
    send('b');
    press(10_000);
    await until(20);
    expect(applied).toEqual(['0:a', '20:b']);
  });
});
