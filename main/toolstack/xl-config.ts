// Reads xl.cfg files (xl.cfg(5)): `key = value` lines with strings, numbers and lists. Keys that make sense here become a domain spec;
// every other key is returned by name, so that nothing is ignored silently.

import path from 'node:path';
import { BulkheadError } from '../../shared/errors.ts';

export interface XlConfig {
  /** Values for DomainSpec; paths as written. */
  spec: Record<string, unknown> & { kernel?: string; ramdisk?: string; disks?: { path: string }[] };
  /** Keys that are not honoured. */
  ignored: string[];
}
type Value = string | number | Value[];

class Reader {
  #at = 0;
  readonly #text: string;
  readonly #file: string;
  constructor(text: string, file: string) {
    this.#text = text;
    this.#file = file;
  }
  fail(found: string): BulkheadError {
    const line = this.#text.slice(0, this.#at).split('\n').length;
    return new BulkheadError({
      code: 'invalid-argument',
      what: `${this.#file}, line ${line}, is not xl.cfg syntax.`,
      why: `Found ${found}.`,
      action: 'Write key = value, with "text", numbers or [ lists ].',
      field: this.#file,
    });
  }
  #skip(lines: boolean): void {
    for (;;) {
      const c = this.#text[this.#at];
      if (c === '#') while (this.#at < this.#text.length && this.#text[this.#at] !== '\n') this.#at++;
      else if (c === ' ' || c === '\t' || c === '\r' || (lines && (c === '\n' || c === ';'))) this.#at++;
      else return;
    }
  }
  *entries(): Generator<[string, Value]> {
    for (;;) {
      this.#skip(true);
      if (this.#at >= this.#text.length) return;
      const key = /^[A-Za-z_][A-Za-z0-9_]*/.exec(this.#text.slice(this.#at))?.[0];
      if (!key) throw this.fail(JSON.stringify(this.#text[this.#at]));
      this.#at += key.length;
      this.#skip(false);
      if (this.#text[this.#at] === '+') this.#at++;
      if (this.#text[this.#at] !== '=') throw this.fail(`no "=" behind ${key}`);
      this.#at++;
      yield [key, this.#value()];
    }
  }
  #value(): Value {
    this.#skip(true);
    const c = this.#text[this.#at];
    if (c === '"' || c === "'") {
      const end = this.#text.indexOf(c, this.#at + 1);
      if (end < 0) throw this.fail('a text without its closing quote');
      const s = this.#text.slice(this.#at + 1, end);
      this.#at = end + 1;
      return s;
    }
    if (c === '[') {
      this.#at++;
      const list: Value[] = [];
      for (;;) {
        this.#skip(true);
        if (this.#text[this.#at] === ']') {
          this.#at++;
          return list;
        }
        list.push(this.#value());
        this.#skip(true);
        if (this.#text[this.#at] === ',') this.#at++;
        else if (this.#text[this.#at] !== ']') throw this.fail('a list without its closing bracket');
      }
    }
    const number = /^(0x[0-9a-fA-F]+|-?\d+)/.exec(this.#text.slice(this.#at))?.[0];
    if (!number) throw this.fail(JSON.stringify(this.#text.slice(this.#at, this.#at + 10)));
    this.#at += number.length;
    return Number(number);
  }
}

const TYPES = new Set(['pv', 'pvh', 'hvm']);

/** @throws BulkheadError when the file is not xl.cfg or a known key has an impossible value. */
export function readXlConfig(text: string, file: string): XlConfig {
  const reader = new Reader(text, file);
  const spec: XlConfig['spec'] = { mode: 'pv', memoryMiB: 128 };
  const ignored: string[] = [];
  const root: string[] = [];
  const wrong = (key: string, why: string): BulkheadError =>
    new BulkheadError({
      code: 'invalid-argument',
      what: `${file}: ${key} cannot be used.`,
      why,
      action: 'Correct the file.',
      field: key,
    });
  const string = (key: string, v: Value): string => {
    if (typeof v !== 'string') throw wrong(key, 'It must be a text in quotes.');
    return v;
  };
  const list = (key: string, v: Value): string[] => {
    if (!Array.isArray(v) || !v.every((x) => typeof x === 'string')) throw wrong(key, 'It must be a list of texts.');
    return v as string[];
  };
  let extra = '';
  for (const [key, v] of reader.entries())
    switch (key) {
      case 'name':
      case 'kernel':
      case 'ramdisk':
        spec[key] = string(key, v);
        break;
      case 'type':
        if (!TYPES.has(string(key, v))) throw wrong(key, `Found "${String(v)}"; there are pv, pvh and hvm.`);
        spec.mode = v;
        break;
      case 'builder':
        if (v === 'hvm') spec.mode = 'hvm';
        else if (v !== 'generic' && v !== 'linux') throw wrong(key, `Found "${String(v)}"; there are generic and hvm.`);
        break;
      case 'memory':
        spec.memoryMiB = Number(v);
        break;
      case 'vcpus':
        spec.vcpus = Number(v);
        break;
      case 'cpu_weight':
        spec.weight = Number(v);
        break;
      case 'cap':
        spec.cap = Number(v);
        break;
      case 'cpus': {
        const cpus = readCpus(v, wrong);
        if (cpus) spec.cpus = cpus;
        break;
      }
      case 'cmdline':
        spec.cmdline = string(key, v);
        break;
      case 'root':
        root.push(`root=${string(key, v)}`);
        break;
      case 'extra':
        extra = string(key, v);
        break;
      case 'disk':
        spec.disks = list(key, v).map((d) => readDisk(d, wrong));
        break;
      case 'vif':
        spec.nics = list(key, v).map((n) => {
          const fields = Object.fromEntries(
            n.split(',').map((f) => f.split('=').map((s) => s.trim()) as [string, string]),
          );
          return {
            ...(fields.bridge ? { bridge: fields.bridge } : {}),
            ...(fields.mac ? { mac: fields.mac } : {}),
            ...(fields.rate ? { rateKbit: readRate(fields.rate, wrong) } : {}),
          };
        });
        break;
      default:
        ignored.push(key);
    }
  if (spec.cmdline === undefined && (root.length || extra)) spec.cmdline = [...root, extra].filter(Boolean).join(' ');
  return { spec, ignored };
}

/** The values of a file in `folder` with its paths made absolute; `builtin:` kernels stay as they are. */
export function xlPaths(spec: XlConfig['spec'], folder: string): XlConfig['spec'] {
  const at = (p: string): string => (p.startsWith('builtin:') ? p : path.resolve(folder, p));
  const result = { ...spec };
  if (spec.kernel !== undefined) result.kernel = at(spec.kernel);
  if (spec.ramdisk !== undefined) result.ramdisk = at(spec.ramdisk);
  if (spec.disks !== undefined) result.disks = spec.disks.map((d) => ({ ...d, path: at(d.path) }));
  return result;
}

/** `rate` of xl-network-configuration(5): a number with b/s, Kb/s, Mb/s, Gb/s or B/s ..., perhaps @interval. @returns kbit/s */
function readRate(text: string, wrong: (key: string, why: string) => BulkheadError): number {
  const m = /^(\d+)([KMG]?)([bB])\/s(@\d+(ms|us|s))?$/.exec(text);
  if (!m) throw wrong('vif', `The rate "${text}" is not like 10Mb/s or 1GB/s@20ms.`);
  const scale = { '': 1, K: 1e3, M: 1e6, G: 1e9 }[m[2] as '' | 'K' | 'M' | 'G'];
  return Math.max(1, Math.round((Number(m[1]) * scale * (m[3] === 'B' ? 8 : 1)) / 1000));
}

/** `cpus` of xl.cfg(5): "all", or numbers, ranges and ^exclusions joined by commas, or a list of numbers. Null is all. */
function readCpus(v: Value, wrong: (key: string, why: string) => BulkheadError): number[] | null {
  if (v === 'all') return null;
  const parts = (Array.isArray(v) ? v.map(String) : String(v).split(',')).map((p) => p.trim());
  const cpus = new Set<number>();
  for (const part of parts) {
    const m = /^(\^)?(\d{1,3})(?:-(\d{1,3}))?$/.exec(part);
    if (!m) throw wrong('cpus', `"${part}" is not a pCPU; write like "0-3,^1" or "all".`);
    for (let n = Number(m[2]); n <= Number(m[3] ?? m[2]); n++)
      if (m[1]) cpus.delete(n);
      else cpus.add(n);
  }
  if (cpus.size === 0) throw wrong('cpus', 'It leaves no pCPU to run on.');
  return [...cpus].sort((a, b) => a - b);
}

/** xl-disk-configuration(5): positional target, format, vdev, access; or key=value; or the older file:path,vdev,mode. */
function readDisk(
  text: string,
  wrong: (key: string, why: string) => BulkheadError,
): { path: string; format: string; vdev: string; readOnly: boolean } {
  const disk = { path: '', format: 'raw', vdev: 'xvda', readOnly: false };
  const positional = ['target', 'format', 'vdev', 'access'];
  const parts = text.split(',').map((p) => p.trim());
  const old = /^(?:phy|file|tap:aio|tap:qcow2):(.*)$/.exec(parts[0]!);
  if (old) positional.splice(1, 1);
  parts.forEach((part, n) => {
    const pair = /^(target|format|vdev|access|backendtype)=(.*)$/.exec(part);
    const key = pair ? pair[1]! : positional[n];
    const v = pair ? pair[2]! : n === 0 && old ? old[1]! : part;
    if (v === '' || key === 'backendtype') return;
    if (key === 'target') disk.path = v;
    else if (key === 'format') disk.format = v;
    else if (key === 'vdev') disk.vdev = v.replace(/:cdrom$/, '');
    else if (key === 'access') disk.readOnly = v === 'r' || v === 'ro';
    else if (part === 'cdrom' || part === 'devtype=cdrom') disk.format = 'iso';
    else throw wrong('disk', `"${part}" is not understood.`);
  });
  if (!disk.path) throw wrong('disk', `"${text}" names no image.`);
  return disk;
}
