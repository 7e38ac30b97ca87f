// The engine process with a real lab file and the real simulator: it is asked to stop, it is killed, it is given a file it must refuse.
import { fork, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LabFile } from '../../../main/engine/lab-file.ts';
import type { FromEngine } from '../../../shared/engine-process.ts';
import { labService, type LabClient } from '../../../shared/lab-service.ts';
import type { LabStatus } from '../../../shared/model.ts';
import { connect } from '../../../shared/rpc.ts';

/** The engine as a child process, its control messages and one client. */
class Engine {
  readonly child: ChildProcess;
  readonly client: LabClient;
  readonly exited: Promise<{ code: number | null; signal: string | null }>;
  readonly #messages: FromEngine[] = [];
  readonly #waiting: { holds: (m: FromEngine) => boolean; found: (m: FromEngine) => void; lost: (e: Error) => void }[] =
    [];

  constructor(lab: string) {
    this.child = fork(fileURLToPath(new URL('./engine-child.ts', import.meta.url)), ['--lab', lab], {
      serialization: 'advanced',
      execPath: process.execPath,
      execArgv: [],
    });
    this.exited = new Promise((resolve) =>
      this.child.on('exit', (code, signal) => {
        for (const w of this.#waiting) w.lost(new Error(`the engine ended with ${code ?? signal}`));
        resolve({ code, signal });
      }),
    );
    const listeners: ((m: unknown) => void)[] = [];
    this.child.on('message', (m: { engine?: FromEngine; rpc?: unknown }) => {
      if (m.rpc !== undefined) for (const l of listeners) l(m.rpc);
      if (!m.engine) return;
      this.#messages.push(m.engine);
      for (const w of this.#waiting) if (w.holds(m.engine)) w.found(m.engine);
    });
    this.client = connect(labService, {
      postMessage: (rpc) => void this.child.send({ rpc }),
      onMessage: (l) => listeners.push(l),
      onClose: (l) => void this.child.on('exit', l),
      close: () => {},
    });
  }
  /** The next control message for which `holds`, also one that came already. */
  told<T extends FromEngine['type']>(
    type: T,
    holds: (m: Extract<FromEngine, { type: T }>) => boolean = () => true,
  ): Promise<Extract<FromEngine, { type: T }>> {
    type M = Extract<FromEngine, { type: T }>;
    const is = (m: FromEngine): boolean => m.type === type && holds(m as M);
    const past = this.#messages.find(is);
    if (past) return Promise.resolve(past as M);
    return new Promise((found, lost) => this.#waiting.push({ holds: is, found: (m) => found(m as M), lost }));
  }
  async attached(): Promise<this> {
    await this.told('ready');
    this.child.send({ engine: { type: 'attach', window: 1 } });
    return this;
  }
  /** Resolves with the first status for which `holds`. */
  status(holds: (s: LabStatus) => boolean): Promise<LabStatus> {
    return new Promise((resolve, reject) => {
      const end = this.client.on(
        'status',
        {},
        (s) => {
          if (!holds(s)) return;
          resolve(s);
          queueMicrotask(() => end());
        },
        reject,
      );
    });
  }
}

let folder: string;
let lab: string;
const engines: Engine[] = [];
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'bulkhead-engine-'));
  lab = path.join(folder, 'study.bulkhead');
});
afterEach(async () => {
  for (const e of engines.splice(0)) {
    e.child.kill('SIGKILL');
    await e.exited;
  }
  rmSync(folder, { recursive: true, force: true });
});
const engine = (file = lab): Engine => {
  const e = new Engine(file);
  engines.push(e);
  return e;
};

describe('the engine process', () => {
  it('makes a new lab with one host and serves it', async () => {
    const e = await engine().attached();
    expect((await e.told('ready')).savedUpTo).toBeNull();
    const s = await e.client.snapshot({});
    expect(s.name).toBe('study');
    expect(s.hosts.map((h) => [h.spec.name, h.state])).toEqual([['alder', 'running']]);
    expect(s.domains).toEqual([]);
    expect((await e.client.events({})).map((x) => x.kind)).toEqual(['lab-created', 'host-added']);
  });

  it('stops when asked, with everything saved', async () => {
    const e = await engine().attached();
    await e.client.renameLab({ name: 'renamed' });
    e.child.send({ engine: { type: 'stop' } });
    expect(await e.exited).toEqual({ code: 0, signal: null });
    const file = new LabFile(lab, 1024);
    expect(file.read()!.lab.name).toBe('renamed');
    file.close();
  });

  it('goes on from the last save after a kill: hosts, domains, consoles, tape and time', async () => {
    const e = await engine().attached();
    await e.client.addHost({ spec: { name: 'birch', pcpus: 1, memoryMiB: 64 } });
    const { uuid } = await e.client.createFromTemplate({
      host: 'birch',
      template: 'dinghy',
      overrides: { name: 'web-01' },
    });
    await e.client.setSpeed({ speed: 0 });
    await e.client.run({});
    const printed = await e.status((s) => s.domains[0]!.consoleBytes > 0);
    await e.client.pause({});
    const at = (await e.client.snapshot({})).clock.now;
    expect(at).toBeGreaterThanOrEqual(printed.clock.now);
    await e.told('saved', (m) => m.savedUpTo === at);
    const console = await e.client.consoleHistory({ uuid });
    e.child.kill('SIGKILL');
    expect((await e.exited).signal).toBe('SIGKILL');

    const again = await engine().attached();
    expect((await again.told('ready')).savedUpTo).toBe(at);
    const s = await again.client.snapshot({});
    expect(s.clock).toMatchObject({ now: at, running: false });
    expect(s.hosts.map((h) => h.spec.name)).toEqual(['alder', 'birch']);
    expect(s.domains).toHaveLength(1);
    expect(s.domains[0]).toMatchObject({ uuid, name: 'web-01', host: 'birch', state: 'shutdown', colour: 1 });
    expect(s.domains[0]!.reason).toMatch(/lab was closed/);
    expect(await again.client.consoleHistory({ uuid })).toEqual(console);
    const kinds = (await again.client.events({})).map((x) => x.kind);
    expect(kinds).toEqual(['lab-created', 'host-added', 'host-added', 'domain-created']);
  });

  it('refuses a file that is no lab, says why, ends with status 2 and leaves the file as it was', async () => {
    writeFileSync(lab, 'name: not a lab\n'.repeat(64));
    const before = readFileSync(lab);
    const e = engine();
    const refusal = await e.told('refused');
    expect(refusal.what).toContain('study.bulkhead');
    expect(refusal.why).not.toBe('');
    expect(refusal.action).not.toBe('');
    expect((await e.exited).code).toBe(2);
    expect(readFileSync(lab).equals(before)).toBe(true);
  });

  it('refuses a lab that another engine has open, which goes on', async () => {
    const first = await engine().attached();
    const second = engine();
    expect((await second.told('refused')).why).toContain('open');
    expect((await second.exited).code).toBe(2);
    expect((await first.client.snapshot({})).hosts).toHaveLength(1);
  });
});
