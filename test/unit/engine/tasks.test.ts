// Tasks: how they end, what is said of them, and cancelling.
import { describe, expect, it } from 'vitest';
import { Tasks, type RunningTask } from '../../../main/engine/tasks.ts';
import { BulkheadError } from '../../../shared/errors.ts';

/** A task that waits at its second step until it is cancelled or `go` is called. */
function waiting(tasks: Tasks): { done: Promise<string>; go: () => void; running: RunningTask } {
  let go!: () => void;
  let running!: RunningTask;
  const done = tasks.run('Move a', 'u', async (r) => {
    running = r;
    r.report('copying', 0.25);
    await new Promise<void>((resolve, reject) => {
      go = resolve;
      r.signal.addEventListener('abort', () => reject(r.signal.reason as Error));
    });
    return 'there';
  });
  return { done, go, running };
}

describe('tasks', () => {
  it('say phase, progress and wall time, and end with their result', async () => {
    let changes = 0;
    const tasks = new Tasks(() => changes++);
    const { done, go } = waiting(tasks);
    expect(tasks.list[0]).toMatchObject({
      title: 'Move a',
      uuid: 'u',
      phase: 'copying',
      progress: 0.25,
      state: 'running',
    });
    expect(tasks.list[0]!.wallMs).toBeUndefined();
    const before = changes;
    go();
    expect(await done).toBe('there');
    expect(tasks.list[0]).toMatchObject({ state: 'done', progress: 1, cancellable: false });
    expect(tasks.list[0]!.wallMs).toBeGreaterThanOrEqual(0);
    expect(changes).toBeGreaterThan(before);
  });
  it('stop when they are cancelled, where their body allows it', async () => {
    const tasks = new Tasks(() => {});
    const { done, running } = waiting(tasks);
    const { id } = tasks.list[0]!;
    expect(() => tasks.cancel(id)).toThrow('"Move a" cannot be cancelled. It cannot be interrupted at this point.');
    running.cancellable(true);
    tasks.cancel(id);
    await expect(done).rejects.toMatchObject({ code: 'cancelled' });
    expect(tasks.list[0]).toMatchObject({ state: 'cancelled', cancellable: false, error: { code: 'cancelled' } });
    expect(() => tasks.cancel(id)).toThrow('It has ended.');
    expect(() => tasks.cancel(99)).toThrow(BulkheadError);
  });
  it('are kept while they run, and the latest fifty at most otherwise', async () => {
    const tasks = new Tasks(() => {});
    const first = waiting(tasks);
    for (let n = 0; n < 60; n++) await tasks.run(`t${n}`, undefined, async () => n);
    expect(tasks.list).toHaveLength(50);
    expect(tasks.list.map((t) => t.title).slice(0, 2)).toEqual(['Move a', 't11']);
    first.go();
    await first.done;
  });
});
