// What a scenario may not say: each refusal names the field, what was found and what is allowed, before anything is started.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { loadScenario } from '../../../main/engine/scenario/load.ts';
import { BulkheadError } from '../../../shared/errors.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'bulkhead-scenario-'));
  writeFileSync(path.join(folder, 'kernel.elf'), 'kernel');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const write = (content: unknown, name = 'scenario.yml'): string => {
  const file = path.join(folder, name);
  writeFileSync(file, typeof content === 'string' ? content : stringify(content));
  return file;
};
const host = { name: 'alder' };
const domain = { name: 'one', host: 'alder', mode: 'pv', kernel: 'kernel.elf', memoryMiB: 16 };
const whole = { hosts: [host], domains: [domain], steps: [{ wait: '1ms' }] };
const refusal = (content: unknown): BulkheadError => {
  try {
    loadScenario(write(content));
  } catch (e) {
    expect(e).toBeInstanceOf(BulkheadError);
    return e as BulkheadError;
  }
  return expect.fail(`nothing was refused: ${stringify(content)}`);
};

describe('a scenario', () => {
  it('is read with defaults and with paths relative to itself', () => {
    const { scenario, domains } = loadScenario(write(whole));
    expect(scenario).toMatchObject({ seed: 1, link: { latencyUs: 400 }, hosts: [{ name: 'alder', pcpus: 4 }] });
    expect(domains).toMatchObject([{ host: 'alder', spec: { kernel: path.join(folder, 'kernel.elf'), vcpus: 1 } }]);
  });

  it('knows units of time, and which clock they are on', () => {
    const expectation = (within: string): unknown => ({ expect: { domain: 'one', text: 'x', within } });
    const { scenario } = loadScenario(
      write({ ...whole, steps: ['5ns', '1.5us', '20 ms', '5s', '2min', '30s wall'].map(expectation) }),
    );
    expect(scenario.steps.map((s) => 'expect' in s && s.expect.within)).toEqual([
      { ns: 5, wall: false },
      { ns: 1500, wall: false },
      { ns: 20_000_000, wall: false },
      { ns: 5_000_000_000, wall: false },
      { ns: 120_000_000_000, wall: false },
      { ns: 30_000_000_000, wall: true },
    ]);
  });

  it.each<[string, unknown, string, RegExp]>([
    ['no YAML', 'hosts: [', '', /YAML/],
    ['nothing', '', '', /no scenario/],
    ['no hosts', { ...whole, hosts: [] }, 'hosts', /hosts/],
    ['an unknown field', { ...whole, host: 'alder' }, '', /host/],
    ['a host too many times', { ...whole, hosts: [host, host] }, 'hosts[1].name', /"alder" is used twice/],
    ['an impossible host', { ...whole, hosts: [{ ...host, pcpus: 99 }] }, 'hosts[0].pcpus', /found 99.*8/],
    ['an impossible link', { ...whole, link: { loss: 2 } }, 'link.loss', /found 2/],
    ['a domain too many times', { ...whole, domains: [domain, domain] }, 'domains[1].name', /"one" is used twice/],
    [
      'a host that is not there',
      { ...whole, domains: [{ ...domain, host: 'elm' }] },
      'domains[0].host',
      /"elm".*alder/,
    ],
    ['an unknown mode', { ...whole, domains: [{ ...domain, mode: 'qemu' }] }, 'domains[0].mode', /found "qemu".*pvh/],
    ['memory as text', { ...whole, domains: [{ ...domain, memoryMiB: '16' }] }, 'domains[0].memoryMiB', /found "16"/],
    [
      'a kernel that is missing',
      { ...whole, domains: [{ ...domain, kernel: 'no.elf' }] },
      'domains[0].kernel',
      /no\.elf/,
    ],
    [
      'a disk that is missing',
      { ...whole, domains: [{ ...domain, disks: [{ path: 'no.img', vdev: 'xvda' }] }] },
      'domains[0].disks[0].path',
      /no\.img/,
    ],
    [
      'an xl.cfg that is missing',
      { ...whole, domains: [{ host: 'alder', xl: 'no.cfg' }], steps: [] },
      'domains[0].xl',
      /no\.cfg/,
    ],
    ['an unknown step', { ...whole, steps: [{ sleep: '1s' }] }, 'steps[0]', /sleep/],
    [
      'a migration to a host that is not there',
      { ...whole, steps: [{ wait: '1s' }, { migrate: { domain: 'one', to: 'cedar' } }] },
      'steps[1].migrate.to',
      /"cedar"/,
    ],
    [
      'a policy that nobody knows',
      { ...whole, steps: [{ migrate: { domain: 'one', to: 'alder', policy: 'xen-9' } }] },
      'steps[0].migrate.policy',
      /xen-today/,
    ],
    ['a save without a file', { ...whole, steps: [{ save: { domain: 'one' } }] }, 'steps[0].save.file', /missing/],
    [
      'a restore of a file that nothing saves',
      { ...whole, steps: [{ restore: { file: 'none.save', host: 'alder', name: 'two' } }] },
      'steps[0].restore.file',
      /none\.save/,
    ],
    [
      'a clone of a domain that is not there',
      { ...whole, steps: [{ clone: { domain: 'two', name: 'three' } }] },
      'steps[0].clone',
      /"two"/,
    ],
    ['a time without a unit', { ...whole, steps: [{ wait: '5' }] }, 'steps[0].wait', /found "5".*unit/],
    ['a wait on the wall clock', { ...whole, steps: [{ wait: '5s wall' }] }, 'steps[0].wait', /wall/],
    ['a step about nobody', { ...whole, steps: [{ pause: 'two' }] }, 'steps[0].pause', /"two".*one/],
    [
      'an expectation of nothing',
      { ...whole, steps: [{ expect: { domain: 'one' } }] },
      'steps[0].expect',
      /exactly one/,
    ],
    [
      'an impossible expression',
      { ...whole, steps: [{ expect: { domain: 'one', regex: '(' } }] },
      'steps[0].expect.regex',
      /regular expression/,
    ],
    [
      'an assertion of nothing',
      { ...whole, steps: [{ assert: { figure: 'virtualNs' } }] },
      'steps[0].assert',
      /equals, above or below/,
    ],
  ])('is refused with %s', (_what, content, field, sentence) => {
    const e = refusal(content);
    expect(e.code).toBe('scenario-invalid');
    expect(e.sentences.field).toBe(field);
    expect(e.message.replaceAll('\n', ' ')).toMatch(sentence);
    expect(e.message).toContain('scenario.yml');
    expect(e.message).toContain('Allowed: ');
  });

  it('is refused when the file does not exist', () => {
    expect(() => loadScenario(path.join(folder, 'no.yml'))).toThrow(/no\.yml.*does not exist/);
  });

  it('takes domains from xl.cfg files and lists the keys that are not honoured', () => {
    writeFileSync(path.join(folder, 'disk.img'), '');
    write(
      'name = "web"\ntype = "pvh"\nkernel = "kernel.elf"\nmemory = 64\nvcpus = 2\nroot = "/dev/xvda1"\nextra = "ro"\n' +
        "disk = [ 'disk.img,raw,xvda,r' ]\nvif = [ 'bridge=br1,mac=00:16:3e:00:00:01' ]\non_crash = 'restart'\nvnc = 1\n",
      'web.cfg',
    );
    const { domains, ignored } = loadScenario(write({ hosts: [host], domains: [{ host: 'alder', xl: 'web.cfg' }] }));
    expect(domains[0]!.spec).toMatchObject({
      name: 'web',
      mode: 'pvh',
      kernel: path.join(folder, 'kernel.elf'),
      memoryMiB: 64,
      vcpus: 2,
      cmdline: 'root=/dev/xvda1 ro',
      disks: [{ path: path.join(folder, 'disk.img'), format: 'raw', vdev: 'xvda', readOnly: true }],
      nics: [{ bridge: 'br1', mac: '00:16:3e:00:00:01' }],
    });
    expect(ignored).toEqual(['web.cfg: on_crash', 'web.cfg: vnc']);
  });
});
