// Tasks: what takes long enough to be shown, with its phase, progress and wall time, and a way to cancel it.
// Invariant: a task ends as exactly one of done, failed or cancelled, and only the body that runs it decides which.

import { BulkheadError, toSentences } from '../../shared/errors.ts';
import type { Task } from '../../shared/model.ts';

const KEPT_TASKS = 50;

/** What the body of a task may do. */
export interface RunningTask {
  readonly task: Task;
  /** Aborted when the user cancels; `signal.throwIfAborted()` ends the body as cancelled. */
  readonly signal: AbortSignal;
  /** Says what it does now and how far it is (0 to 1, null where nothing can be counted). */
  report(phase: string, progress?: number | null): void;
  /** From now on it can be cancelled, or no more: at the point of no return a body says false. */
  cancellable(may: boolean): void;
}

export class Tasks {
  /** The latest, oldest first. */
  readonly list: Task[] = [];
  readonly #running = new Map<number, AbortController>();
  readonly #changed: () => void;
  #next = 1;

  /** @param changed told whenever anything of a task changed */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /**
   * Runs `body` as a task.
   * @returns its result
   * @throws what it throws; `cancelled` when it stopped because the user cancelled it
   */
  async run<T>(title: string, uuid: string | undefined, body: (running: RunningTask) => Promise<T>): Promise<T> {
    const wallStart = Date.now();
    const task: Task = {
      id: this.#next++,
      title,
      phase: '',
      progress: null,
      state: 'running',
      cancellable: false,
      startedWall: wallStart,
    };
    if (uuid) task.uuid = uuid;
    this.#keep(task);
    const controller = new AbortController();
    this.#running.set(task.id, controller);
    this.#changed();
    try {
      const result = await body({
        task,
        signal: controller.signal,
        report: (phase, progress = task.progress) => {
          task.phase = phase;
          task.progress = progress;
          this.#changed();
        },
        cancellable: (may) => {
          task.cancellable = may;
          this.#changed();
        },
      });
      task.state = 'done';
      task.progress = 1;
      return result;
    } catch (e) {
      const { code, what, why, action } = toSentences(e);
      task.state = code === 'cancelled' ? 'cancelled' : 'failed';
      task.error = { code, what, why, action };
      throw e;
    } finally {
      task.cancellable = false;
      task.wallMs = Date.now() - wallStart;
      this.#running.delete(task.id);
      this.#changed();
    }
  }

  /** Drops the oldest that has ended when there are too many. */
  #keep(task: Task): void {
    this.list.push(task);
    if (this.list.length <= KEPT_TASKS) return;
    const ended = this.list.findIndex((t) => t.state !== 'running');
    if (ended >= 0) this.list.splice(ended, 1);
  }

  /** Asks a task to stop. @throws BulkheadError not-possible-now when it has ended or cannot be interrupted */
  cancel(id: number): void {
    const task = this.list.find((t) => t.id === id);
    const controller = this.#running.get(id);
    if (task?.cancellable && controller) {
      task.phase = 'cancelling';
      task.cancellable = false;
      controller.abort(
        new BulkheadError({
          code: 'cancelled',
          what: `"${task.title}" was cancelled.`,
          why: 'You asked for it.',
          action: 'Start it again if you still want it.',
        }),
      );
      this.#changed();
      return;
    }
    throw new BulkheadError({
      code: 'not-possible-now',
      what: task ? `"${task.title}" cannot be cancelled.` : `There is no task ${id}.`,
      why: !task
        ? 'It is not known any more.'
        : controller
          ? 'It cannot be interrupted at this point.'
          : 'It has ended.',
      action: controller ? 'Wait for it to end.' : 'Nothing needs to be done.',
    });
  }
}
