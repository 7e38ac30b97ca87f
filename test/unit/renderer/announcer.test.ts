// The rate rule of the live region, on a clock of our own.
import { describe, expect, it } from 'vitest';
import { createAnnouncer } from '../../../renderer/composables/announcer.ts';

function setUp() {
  let time = 0;
  const timers: { at: number; run: () => void }[] = [];
  const announcer = createAnnouncer(
    () => time,
    (run, ms) => void timers.push({ at: time + ms, run }),
  );
  function advance(ms: number): void {
    const until = time + ms;
    for (;;) {
      timers.sort((a, b) => a.at - b.at);
      if (timers.length === 0 || timers[0].at > until) break;
      const next = timers.shift()!;
      time = next.at;
      next.run();
    }
    time = until;
  }
  return { announcer, advance };
}

describe('announcer', () => {
  it('speaks at most one polite message in three seconds, in order', () => {
    const { announcer, advance } = setUp();
    announcer.say('one');
    announcer.say('two');
    advance(0);
    expect(announcer.polite.value).toBe('one');
    advance(2999);
    expect(announcer.polite.value).toBe('one');
    advance(1);
    expect(announcer.polite.value).toBe('two');
  });

  it('replaces a waiting message of the same topic', () => {
    const { announcer, advance } = setUp();
    announcer.say('first');
    advance(0);
    announcer.say('round 1', 'migration');
    announcer.say('round 2', 'migration');
    advance(3000);
    expect(announcer.polite.value).toBe('round 2');
    advance(9000);
    expect(announcer.polite.value).toBe('round 2');
  });

  it('makes a repeated message a change, or it would not be spoken', () => {
    const { announcer, advance } = setUp();
    announcer.say('saved');
    advance(0);
    const before = announcer.polite.value;
    announcer.say('saved');
    advance(3000);
    expect(announcer.polite.value).not.toBe(before);
    expect(announcer.polite.value.trim()).toBe('saved');
  });

  it('does not make an alarm wait', () => {
    const { announcer } = setUp();
    announcer.alarm('crashed');
    expect(announcer.assertive.value).toBe('crashed');
  });
});
