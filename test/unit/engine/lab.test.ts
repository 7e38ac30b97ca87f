// The lab over host threads that simulate nothing (double-host-worker.ts): time, order, names, undo, the tape, hosts that die.
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Lab } from '../../../main/engine/lab.ts';
import type { OpenedLab } from '../../../main/engine/lab-file.ts';
import { BulkheadError } from '../../../shared/errors.ts';
import { DomainSpec, HostSpec } from '../../../shared/model.ts';

const MS = 1_000_000;
const labs: Lab[] = [];
afterEach(async () => {
  for (const l of labs.splice(0)) await l.close();
});
function newLab(seed = 1, more: { pauseOnCrash?: boolean } = {}): Lab {
  const lab = new Lab({
    name: 'test',
    path: '/nowhere/test.bulkhead',
    seed,
    ...more,
    spawn: () => new Worker(new URL('./double-host-worker.ts', import.meta.url)),
    readKernel: (name) =>
      name === 'missing'
        ? Promise.reject(new Error('ENOENT'))
        : Promise.resolve(new Uint8Array(name === 'empty' ? 0 : 4)),
  });
  labs.push(lab);
  return lab;
}
const host = (name: string, more = {}): HostSpec => HostSpec.parse({ name, memoryMiB: 256, ...more });
const domain = (name: string, more = {}): DomainSpec =>
  DomainSpec.parse({ name, mode: 'pv', kernel: 'k', memoryMiB: 64, ...more });
const text = (s: string): Uint8Array => new TextEncoder().encode(s);
const consoleOf = (lab: Lab, uuid: string): string => new TextDecoder().decode(lab.domain(uuid).console.tail(1e6));
const epochsOf = async (lab: Lab, uuid: string): Promise<number[]> => Object.values((await lab.figures(uuid)).io);
const kinds = (lab: Lab): string[] => lab.events.map((e) => e.kind);
const refused = async (p: Promise<unknown>): Promise<BulkheadError> => {
  const e = await p.then(
    () => expect.fail('nothing was refused'),
    (thrown: unknown) => thrown,
  );
  expect(e).toBeInstanceOf(BulkheadError);
  return e as BulkheadError;
};
/** Resolves when something shown changed and `holds`. */
const until = (lab: Lab, holds: () => boolean): Promise<void> =>
  new Promise((resolve) => {
    const told = lab.onChanged;
    const look = (): void => {
      told();
      if (!holds()) return;
      lab.onChanged = told;
      resolve();
    };
    lab.onChanged = look;
    look();
  });

describe('time', () => {
  it('takes all hosts through the same epochs, none longer than the link latency', async () => {
    const lab = newLab();
    await lab.addHost(host('alder'));
    await lab.addHost(host('birch'));
    lab.editLink({ bandwidthMbit: 1000, latencyUs: 300, loss: 0 });
    const a = await lab.createDomain('alder', domain('a'));
    const b = await lab.createDomain('birch', domain('b'));
    lab.clock.setSpeed(0);
    await lab.clock.step(1 * MS);
    expect(await epochsOf(lab, a)).toEqual([300_000, 600_000, 900_000, 1_000_000]);
    expect(await epochsOf(lab, b)).toEqual(await epochsOf(lab, a));
    expect(lab.clock.status).toMatchObject({ now: 1 * MS, running: false });
  });

  it('gives a host that joins later the time of the lab', async () => {
    const lab = newLab();
    await lab.addHost(host('alder'));
    await lab.createDomain('alder', domain('a'));
    lab.clock.setSpeed(0);
    await lab.clock.step(2 * MS);
    await lab.addHost(host('birch'));
    const b = await lab.createDomain('birch', domain('b'));
    await lab.clock.step(0.4 * MS);
    expect(consoleOf(lab, b)).toBe(`b at ${2 * MS}\n`);
    expect((await epochsOf(lab, b)).at(-1)).toBe(2.4 * MS);
  });

  it('has the same history at every speed, and another seed another one', async () => {
    const history = async (seed: number, speed: number): Promise<unknown> => {
      const lab = newLab(seed);
      await lab.addHost(host('alder'));
      await lab.addHost(host('birch'));
      const a = await lab.createDomain('alder', domain('a'));
      lab.clock.setSpeed(speed);
      await lab.clock.step(3 * MS);
      await lab.typeConsole(a, text('hello'));
      await lab.clock.step(3 * MS);
      const b = await lab.createDomain('birch', domain('b'));
      await lab.typeConsole(b, text('crash'));
      await lab.clock.step(3 * MS);
      await lab.destroyDomain(a);
      return { digest: await lab.digest(), tape: lab.events.map(({ at, kind }) => [at, kind]), b: consoleOf(lab, b) };
    };
    const free = await history(1, 0);
    expect(await history(1, 1)).toEqual(free);
    expect(await history(1, 0.2)).toEqual(free);
    expect((await history(2, 0)) as object).not.toEqual(free);
  });

  it('applies input that arrives while the clock is stopping', async () => {
    const lab = newLab();
    await lab.addHost(host('alder'));
    const a = await lab.createDomain('alder', domain('a'));
    lab.clock.run();
    const paused = lab.clock.pause();
    await lab.typeConsole(a, text('in time'));
    await paused;
    lab.clock.setSpeed(0);
    await lab.clock.step(1 * MS);
    expect(consoleOf(lab, a)).toContain('in time');
  });

  it('journals what comes from outside at the time at which the host got it', async () => {
    const lab = newLab();
    const journal: { at: number; kind: string }[] = [];
    await lab.addHost(host('alder'));
    const a = await lab.createDomain('alder', domain('a'));
    lab.onJournal = ({ at, kind }) => journal.push({ at, kind });
    lab.clock.run();
    await until(lab, () => lab.clock.now > 2 * MS);
    await lab.typeConsole(a, text('x'));
    await until(lab, () => consoleOf(lab, a).includes('x'));
    await lab.clock.pause();
    expect(consoleOf(lab, a)).toContain(`[${journal[0]!.at}] x`);
    expect(journal.map((j) => j.kind)).toEqual(['type']);
    expect((await refused(lab.typeConsole('nobody', text('y')))).code).toBe('not-found');
    expect(journal).toHaveLength(1);
  });
});

describe('the tape', () => {
  it('notes a crash in its own epoch, with the place in the console', async () => {
    const lab = newLab();
    await lab.addHost(host('alder'));
    const a = await lab.createDomain('alder', domain('a'));
    lab.clock.setSpeed(0);
    await lab.clock.step(5 * MS);
    await lab.typeConsole(a, text('crash'));
    await lab.clock.step(5 * MS);
    const crash = lab.events.find((e) => e.kind === 'domain-crashed')!;
    expect(crash).toMatchObject({ at: 6 * MS, uuid: a, text: 'a crashed: a test asked for it' });
    expect(crash.consoleAt).toBe(lab.domain(a).console.end);
    expect(lab.domain(a).status).toMatchObject({ state: 'crashed', reason: 'a test asked for it' });
  });

  it('stops the clock at the crash when it is asked to', async () => {
    const lab = newLab(1, { pauseOnCrash: true });
    await lab.addHost(host('alder'));
    const a = await lab.createDomain('alder', domain('a'));
    await lab.typeConsole(a, text('crash'));
    lab.clock.setSpeed(0);
    lab.clock.run();
    await until(lab, () => !lab.clock.status.running);
    await lab.clock.pause(); // the end of that epoch
    expect(lab.clock.now).toBe(1 * MS);
    expect(lab.events.at(-1)).toMatchObject({ kind: 'domain-crashed', at: 1 * MS });
    await lab.clock.step(1 * MS);
    expect(lab.clock.now).toBe(2 * MS);
  });

  it('numbers events in order without gaps and tells of each once', async () => {
    const lab = newLab();
    const told: number[] = [];
    lab.onEvents = (events) => told.push(...events.map((e) => e.id));
    await lab.addHost(host('alder'));
    const a = await lab.createDomain('alder', domain('a'));
    lab.renameDomain(a, 'b');
    await lab.pauseDomain(a);
    await lab.unpauseDomain(a);
    await lab.destroyDomain(a);
    expect(kinds(lab)).toEqual([
      'host-added',
      'domain-created',
      'domain-renamed',
      'domain-paused',
      'domain-unpaused',
      'domain-destroyed',
    ]);
    expect(lab.events.map((e) => e.id)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(told).toEqual([1, 2, 3, 4, 5, 6]);
  });
});

describe('the CPU share shown', () => {
  it('is that of the last second of lab time', async () => {
    const lab = newLab();
    await lab.addHost(host('alder'));
    const a = await lab.createDomain('alder', domain('a'));
    const share = (): number => lab.domain(a).status.cpuPercent;
    lab.clock.setSpeed(0);
    // the double uses a quarter of the time while it runs
    for (let i = 0; i < 10; i++) {
      await lab.clock.step(100 * MS);
      await lab.refresh();
    }
    expect(share()).toBeCloseTo(25, 6);
    await lab.pauseDomain(a);
    await lab.clock.step(500 * MS);
    await lab.refresh();
    expect(share()).toBeCloseTo(12.5, 6);
    await lab.clock.step(500 * MS);
    await lab.refresh();
    expect(share()).toBeCloseTo(0, 6);
  });
});

describe('domains', () => {
  it('are refused with a reason, and nothing of them stays', async () => {
    const lab = newLab();
    await lab.addHost(host('alder'));
    await lab.createDomain('alder', domain('a', { memoryMiB: 200 }));
    const cases: [Promise<unknown>, string, RegExp][] = [
      [lab.createDomain('elm', domain('b')), 'not-found', /elm/],
      [lab.createDomain('alder', domain('a')), 'name-taken', /a is taken/],
      [lab.createDomain('alder', domain('b', { memoryMiB: 64 })), 'not-enough-memory', /64 MiB, 56 free/],
      [lab.createDomain('alder', domain('b', { mode: 'native', memoryMiB: 8 })), 'host-busy', /empty host/],
      [lab.createDomain('alder', domain('b', { kernel: 'missing', memoryMiB: 8 })), 'file-missing', /ENOENT/],
      [lab.createDomain('alder', domain('b', { kernel: 'empty', memoryMiB: 8 })), 'kernel-corrupt', /empty/],
    ];
    for (const [attempt, code, why] of cases) {
      const e = await refused(attempt);
      expect(e.code).toBe(code);
      expect(e.message).toMatch(why);
    }
    expect([...lab.domains.values()].map((d) => d.spec.name)).toEqual(['a']);
    expect(kinds(lab).filter((k) => k === 'domain-created')).toHaveLength(1);
    expect(lab.tasks.list.at(-1)).toMatchObject({
      title: 'Create b',
      state: 'failed',
      error: { code: 'kernel-corrupt' },
    });
  });

  it('keep the host from being changed or removed while they are on it', async () => {
    const lab = newLab();
    await lab.addHost(host('alder'));
    const a = await lab.createDomain('alder', domain('a'));
    for (const attempt of [lab.editHost('alder', host('alder', { pcpus: 1 })), lab.removeHost('alder')])
      expect((await refused(attempt)).code).toBe('host-busy');
    await lab.destroyDomain(a);
    await lab.editHost('alder', host('ash', { pcpus: 1 }));
    expect(lab.hostStatuses().map((h) => [h.spec.name, h.spec.pcpus])).toEqual([['ash', 1]]);
    await lab.removeHost('ash');
    expect(lab.hostStatuses()).toEqual([]);
  });

  it('restart in their place: uuid, name, colour and console stay, the number is new', async () => {
    const lab = newLab();
    await lab.addHost(host('alder'));
    const a = await lab.createDomain('alder', domain('a'));
    const { domid, colour } = lab.domain(a);
    await lab.restartDomain(a);
    expect(lab.domain(a)).toMatchObject({ uuid: a, colour, status: { state: 'running', name: 'a' } });
    expect(lab.domain(a).domid).not.toBe(domid);
    expect(consoleOf(lab, a)).toBe('a at 0\na at 0\n');
  });
});

describe('a guest that reboots', () => {
  it('boots again in its place before the next epoch, at every speed', async () => {
    for (const speed of [0, 1]) {
      const lab = newLab();
      await lab.addHost(host('alder', { memoryMiB: 64 }));
      const a = await lab.createDomain('alder', domain('a'));
      lab.clock.setSpeed(speed);
      await lab.clock.step(2 * MS);
      await lab.typeConsole(a, text('reboot'));
      await lab.clock.step(3 * MS);
      expect(lab.domain(a).status).toMatchObject({ state: 'running', reason: null, createdAt: 3 * MS });
      expect(consoleOf(lab, a)).toBe(`a at 0\na at ${3 * MS}\n`);
      expect(kinds(lab).slice(-2)).toEqual(['domain-shutdown', 'domain-created']);
    }
  });
  it('stays off when it asked for that', async () => {
    const lab = newLab();
    await lab.addHost(host('alder'));
    const a = await lab.createDomain('alder', domain('a'));
    await lab.shutdownDomain(a, 'poweroff');
    lab.clock.setSpeed(0);
    await lab.clock.step(3 * MS);
    expect(lab.domain(a).status).toMatchObject({ state: 'shutdown', reason: 'powered off' });
  });
});

describe('a disk image', () => {
  const disk = (more: object = {}): object => ({ disks: [{ path: '/images/data.img', vdev: 'xvda', ...more }] });
  it('has one domain that writes to it, or many that read', async () => {
    const lab = newLab();
    await lab.addHost(host('alder'));
    const a = await lab.createDomain('alder', domain('a', disk()));
    const { code, sentences } = await refused(lab.createDomain('alder', domain('b', disk({ readOnly: true }))));
    expect(code).toBe('disk-in-use');
    expect(sentences.why).toBe('Its disk xvda (/images/data.img) is in use by a, and that one would write to it.');
    await lab.destroyDomain(a);
    await lab.createDomain('alder', domain('b', disk({ readOnly: true })));
    await lab.createDomain('alder', domain('c', disk({ path: '/images/../images/data.img', readOnly: true })));
    expect((await refused(lab.createDomain('alder', domain('d', disk())))).sentences.why).toContain(
      'this one would write',
    );
    expect(lab.findDomain('d')).toBeUndefined();
  });
});

describe('undo', () => {
  it('brings back the domain destroyed last, with uuid, name and colour, and others stay', async () => {
    const lab = newLab();
    await lab.addHost(host('alder'));
    const a = await lab.createDomain('alder', domain('a'));
    const b = await lab.createDomain('alder', domain('b'));
    const { colour } = lab.domain(a);
    await lab.destroyDomain(a);
    expect(lab.undoable).toBe('a');
    expect(await lab.undo()).toBe(a);
    expect(lab.domain(a)).toMatchObject({ colour, spec: { name: 'a' }, status: { state: 'running' } });
    expect(lab.domains.has(b)).toBe(true);
    expect(lab.undoable).toBeNull();
    expect((await refused(lab.undo())).code).toBe('not-possible-now');
  });

  it('finds a free name when another domain has taken it meanwhile', async () => {
    const lab = newLab();
    await lab.addHost(host('alder'));
    const a = await lab.createDomain('alder', domain('a'));
    await lab.destroyDomain(a);
    await lab.createDomain('alder', domain('a'));
    await lab.undo();
    expect(lab.domain(a).spec.name).toBe('a-2');
  });

  it('is kept for twenty later commands, no longer', async () => {
    const lab = newLab();
    await lab.addHost(host('alder'));
    const a = await lab.createDomain('alder', domain('a'));
    const b = await lab.createDomain('alder', domain('b'));
    await lab.destroyDomain(a);
    for (let i = 0; i < 19; i++) lab.renameDomain(b, `b${i}`);
    expect(lab.undoable).toBe('a');
    lab.renameDomain(b, 'last');
    expect(lab.undoable).toBeNull();
  });

  it('is taken back by redo, until another command follows', async () => {
    const lab = newLab();
    await lab.addHost(host('alder'));
    const uuid = await lab.createDomain('alder', domain('a'));
    await lab.destroyDomain(uuid);
    expect(lab.redoable).toBeNull();
    await lab.undo();
    expect([lab.undoable, lab.redoable]).toEqual([null, 'a']);
    expect(await lab.redo()).toBe(uuid);
    expect(lab.domains.has(uuid)).toBe(false);
    expect([lab.undoable, lab.redoable]).toEqual(['a', null]);
    await lab.undo();
    await lab.createDomain('alder', domain('b'));
    expect(lab.redoable).toBeNull();
    expect((await refused(lab.redo())).sentences.what).toBe('There is nothing to redo.');
  });
  it('stays possible when it fails', async () => {
    const lab = newLab();
    await lab.addHost(host('alder'));
    const a = await lab.createDomain('alder', domain('a', { memoryMiB: 200 }));
    await lab.destroyDomain(a);
    const b = await lab.createDomain('alder', domain('b', { memoryMiB: 200 }));
    expect((await refused(lab.undo())).code).toBe('not-enough-memory');
    await lab.destroyDomain(b);
    expect(await lab.undo()).toBe(b);
    expect(lab.undoable).toBe('a');
  });
});

describe('the files of a domain', () => {
  it('are told from what they were: at a restart, after undo, and when the lab is opened again', async () => {
    let contents = 1;
    const files = (): Lab => {
      const lab = new Lab({
        name: 'test',
        path: '/nowhere/test.bulkhead',
        seed: 1,
        spawn: () => new Worker(new URL('./double-host-worker.ts', import.meta.url)),
        readKernel: () => Promise.resolve(Uint8Array.of(0, 0, 0, contents)),
      });
      labs.push(lab);
      return lab;
    };
    const lab = files();
    await lab.addHost(host('alder'));
    const uuid = await lab.createDomain('alder', domain('a', { kernel: '/boot/vmlinuz' }));
    const said = (): string => lab.events.findLast((e) => e.kind === 'domain-created')!.text;
    await lab.restartDomain(uuid);
    expect(said()).toBe('a created');
    contents = 2;
    await lab.restartDomain(uuid);
    expect(said()).toBe('a created; vmlinuz has changed since it was last started.');
    await lab.destroyDomain(uuid);
    contents = 3;
    await lab.undo();
    expect(said()).toBe('a created; vmlinuz has changed since it was last started.');
    const saved = lab.toSaved();
    expect(Object.keys(saved.domains[0]!.hashes!)).toEqual(['/boot/vmlinuz']);
    const again = files();
    await again.restore({ lab: saved, events: [], consoles: new Map() });
    expect(again.domain(uuid).status.reason).not.toContain('has changed');
    contents = 4;
    const later = files();
    await later.restore({ lab: saved, events: [], consoles: new Map() });
    expect(later.domain(uuid).status.reason).toContain('vmlinuz has changed since it was last started.');
  });
});

describe('a host whose thread dies', () => {
  it('costs its domains, not the lab: it is back, empty, and the other host goes on', async () => {
    const lab = newLab();
    await lab.addHost(host('alder'));
    await lab.addHost(host('birch'));
    const a = await lab.createDomain('alder', domain('a'));
    const b = await lab.createDomain('birch', domain('b'));
    lab.clock.setSpeed(0);
    await lab.clock.step(1 * MS);
    await lab.typeConsole(a, text('die'));
    lab.clock.run();
    await until(lab, () => lab.domain(a).status.state === 'lost');
    await until(lab, () => lab.hostStatuses()[0]!.state === 'running');
    await lab.clock.pause();
    expect(lab.domain(a).status.reason).toContain('alder stopped');
    expect(lab.hostStatuses().map((h) => [h.spec.name, h.state])).toEqual([
      ['alder', 'running'],
      ['birch', 'running'],
    ]);
    expect(lab.events.filter((e) => e.kind === 'host-lost')).toHaveLength(1);
    // the other goes on
    await lab.typeConsole(b, text('still here'));
    const c = await lab.createDomain('alder', domain('c'));
    await lab.clock.step(2 * MS);
    expect(consoleOf(lab, b)).toContain('still here');
    expect(consoleOf(lab, c)).toMatch(/^c at [1-9]/);
    // and the lost one is nobody: its old number is another domain's now
    expect(lab.domain(a).domid).toBe(lab.domain(c).domid);
    for (const attempt of [lab.pauseDomain(a), lab.typeConsole(a, text('x')), lab.figures(a), lab.unpauseDomain(a)])
      expect((await refused(attempt)).code).toBe('not-possible-now');
    expect(lab.domain(c).status.state).toBe('running');
    await lab.restartDomain(a);
    expect(lab.domain(a).status.state).toBe('running');
  });
});

describe('a host whose simulation fails', () => {
  it('is lost as well, with the reason, and is back', async () => {
    const told = vi.spyOn(console, 'error').mockImplementation(() => {});
    const lab = newLab();
    await lab.addHost(host('alder'));
    const a = await lab.createDomain('alder', domain('a'));
    await lab.typeConsole(a, text('bug'));
    lab.clock.setSpeed(0);
    await lab.clock.step(1 * MS);
    expect(lab.domain(a).status.state).toBe('lost');
    expect(lab.domain(a).status.reason).toContain('frame 9 has no owner');
    expect(lab.events.at(-1)).toMatchObject({ kind: 'host-lost', host: 'alder' });
    expect(told.mock.calls.flat().join()).toContain('frame 9 has no owner');
    told.mockRestore();
    await until(lab, () => lab.hostStatuses()[0]!.state === 'running');
    const b = await lab.createDomain('alder', domain('b'));
    await lab.clock.step(1 * MS);
    expect(lab.domain(b).status.state).toBe('running');
  });
});

describe('what is saved', () => {
  it('comes back: hosts, link, domains with uuid, colour and console, the tape, the time; nothing runs by itself', async () => {
    const lab = newLab(7);
    await lab.addHost(host('alder'));
    lab.editLink({ bandwidthMbit: 10, latencyUs: 1000, loss: 0.5 });
    const a = await lab.createDomain('alder', domain('a'));
    const b = await lab.createDomain('alder', domain('b'));
    lab.clock.setSpeed(0);
    await lab.typeConsole(b, text('crash'));
    await lab.clock.step(2 * MS);
    const saved: OpenedLab = structuredClone({
      lab: lab.toSaved(),
      events: lab.events,
      consoles: new Map([[a, { bytes: lab.domain(a).console.tail(1e6), end: lab.domain(a).console.end }]]),
    });

    const again = newLab(7);
    await again.restore(saved);
    expect(again.clock.status).toMatchObject({ now: 2 * MS, running: false });
    expect(again.link).toEqual(lab.link);
    expect(again.hostStatuses().map((h) => h.spec)).toEqual([host('alder')]);
    expect(again.events).toEqual(lab.events);
    expect(consoleOf(again, a)).toBe('a at 0\n');
    expect(again.domain(a).status).toMatchObject({ state: 'shutdown', colour: 1, domid: -1 });
    expect(again.domain(b).status).toMatchObject({ state: 'crashed', reason: 'a test asked for it', colour: 2 });
    expect((await refused(again.pauseDomain(a))).code).toBe('not-possible-now');
    // a native kernel that does not run has no host to itself
    const native = structuredClone(saved);
    native.lab.domains = [{ ...saved.lab.domains[0]!, spec: domain('n', { mode: 'native' }) }];
    const third = newLab(7);
    await third.restore(native);
    expect(third.hostStatuses()[0]!.native).toBe(false);
    await third.restartDomain(a);
    expect(third.domain(a).status.state).toBe('running');
    expect(third.hostStatuses()[0]!.native).toBe(true);
    // they take no memory, and new ones get new colours and event numbers
    const c = await again.createDomain('alder', domain('c', { memoryMiB: 250 }));
    expect(again.domain(c).colour).toBe(3);
    expect(new Set(again.events.map((e) => e.id)).size).toBe(again.events.length);
  });
});
