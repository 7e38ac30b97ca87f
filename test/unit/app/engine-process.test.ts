/** The life of the engine process, told by a child that the test plays. */
import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { EngineProcess, type EngineChild } from '../../../main/app/engine-process.ts';
import type { EngineState } from '../../../shared/bridge.ts';
import type { FromEngine, ToEngine } from '../../../shared/engine-process.ts';

class Child extends EventEmitter {
  readonly stdout = new PassThrough();
  readonly stderr = new PassThrough();
  readonly posted: { message: ToEngine; transfer: unknown[] }[] = [];
  killed = false;
  /** How the child answers `stop`; null: not at all. */
  stopCode: number | null = 0;

  postMessage(message: ToEngine, transfer: unknown[] = []): void {
    this.posted.push({ message, transfer });
    if (message.type === 'stop' && this.stopCode !== null) this.emit('exit', this.stopCode);
  }

  kill(): boolean {
    this.killed = true;
    this.emit('exit', 15);
    return true;
  }

  says(message: FromEngine): void {
    this.emit('message', message);
  }
}

function setUp(stopLimitMs = 60_000): {
  engine: EngineProcess;
  children: Child[];
  states: EngineState[];
  lines: string[];
} {
  const children: Child[] = [];
  const states: EngineState[] = [];
  const lines: string[] = [];
  const engine = new EngineProcess({
    fork: () => {
      const child = new Child();
      children.push(child);
      return child as unknown as EngineChild;
    },
    log: (line) => lines.push(line),
    stopLimitMs,
  });
  engine.on('state', (state) => states.push(state));
  return { engine, children, states, lines };
}

async function started(): Promise<ReturnType<typeof setUp> & { child: Child }> {
  const all = setUp();
  const start = all.engine.start('/lab');
  await Promise.resolve();
  const child = all.children[0] as Child;
  child.says({ type: 'ready', savedUpTo: 7 });
  await start;
  return { ...all, child };
}

describe('EngineProcess', () => {
  it('is starting, then running when the engine says so', async () => {
    const { states, engine } = await started();
    expect(states.map((state) => state.phase)).toEqual(['starting', 'running']);
    expect(engine.state).toEqual({ phase: 'running', generation: 1, labPath: '/lab' });
  });

  it('reports an end nobody asked for, with what is safe and why it happened', async () => {
    const { child, engine } = await started();
    child.says({ type: 'saved', savedUpTo: 192_000_000_000 });
    child.emit('exit', 9);
    expect(engine.state).toMatchObject({
      phase: 'stopped',
      savedUpTo: 192_000_000_000,
      sentence: { what: 'The engine stopped.', why: expect.stringContaining('killed') as string },
    });
  });

  it('names the error that ended it', async () => {
    const { child, engine, lines } = await started();
    child.stderr.write('TypeError: no such frame\n    at somewhere\n');
    await new Promise(setImmediate);
    child.emit('exit', 1);
    expect(engine.state).toMatchObject({
      sentence: { why: expect.stringContaining('TypeError: no such frame') as string },
    });
    expect(lines).toContain('TypeError: no such frame');
  });

  it('keeps the reason when the engine refuses the lab file', async () => {
    const { engine, children } = setUp();
    const start = engine.start('/lab');
    await Promise.resolve();
    children[0]?.says({ type: 'refused', what: 'It is too new.', why: 'Version 9.', action: 'Update.' });
    children[0]?.emit('exit', 2);
    expect(await start).toMatchObject({
      phase: 'refused',
      sentence: { what: 'It is too new.', why: 'Version 9.', action: 'Update.' },
    });
    expect(engine.state?.phase).toBe('refused');
  });

  it('restarts on the same lab under a new generation, and ignores what the dead engine still says', async () => {
    const { child, children, engine } = await started();
    child.emit('exit', 1);
    const restart = engine.restart();
    await Promise.resolve();
    child.says({ type: 'ready', savedUpTo: null });
    expect(engine.state).toMatchObject({ phase: 'starting', generation: 2 });
    children[1]?.says({ type: 'ready', savedUpTo: null });
    expect(await restart).toEqual({ phase: 'running', generation: 2, labPath: '/lab' });
  });

  it('hands over a port with the window it belongs to', async () => {
    const { child, engine } = await started();
    const port = {};
    expect(await engine.attach(3, port)).toBe(1);
    expect(child.posted).toEqual([{ message: { type: 'attach', window: 3 }, transfer: [port] }]);
  });

  it('lets a window wait for an engine that is starting', async () => {
    const { children, engine } = setUp();
    const start = engine.start('/lab');
    const attached = engine.attach(3, {});
    await Promise.resolve();
    expect(children[0]?.posted).toEqual([]);
    children[0]?.says({ type: 'ready', savedUpTo: null });
    await start;
    expect(await attached).toBe(1);
  });

  it('hands over nothing when no engine runs', async () => {
    const { child, engine } = await started();
    child.emit('exit', 1);
    expect(await engine.attach(3, {})).toBeNull();
  });

  it('ends the running engine before it starts on another lab', async () => {
    const { child, children, engine } = await started();
    const start = engine.start('/other');
    await new Promise(setImmediate);
    expect(child.posted.map(({ message }) => message.type)).toEqual(['stop']);
    children[1]?.says({ type: 'ready', savedUpTo: null });
    expect(await start).toMatchObject({ phase: 'running', labPath: '/other', generation: 2 });
  });

  it('kills an engine that does not stop', async () => {
    const { engine, children, lines } = setUp(1);
    const start = engine.start('/lab');
    await Promise.resolve();
    const child = children[0] as Child;
    child.says({ type: 'ready', savedUpTo: null });
    await start;
    child.stopCode = null;
    await engine.stop();
    expect(child.killed).toBe(true);
    expect(lines).toContain('The engine did not stop in time and was killed.');
  });

  it('does not call a stop that was asked for a failure', async () => {
    const { engine } = await started();
    await engine.stop();
    expect(engine.state).toMatchObject({ phase: 'stopped', sentence: { what: 'The engine is off.' } });
  });
});
