// Writes one WebAssembly module: imported functions and memory, functions, one function table, exports.
// Functions are declared first and written when the module is built, so that they may call each other freely.

import { Bytes } from './bytes.ts';
import { TYPE_CODE, type WasmType } from './expr.ts';
import { FunctionBuilder } from './function.ts';

interface Signature {
  params: readonly WasmType[];
  results: readonly WasmType[];
}
interface Declared extends Signature {
  name: string;
  body: (f: FunctionBuilder) => void;
  exported: boolean;
}

export class ModuleBuilder {
  private readonly types: Signature[] = [];
  private readonly imports: (Signature & { name: string })[] = [];
  private readonly functions: Declared[] = [];
  private readonly index = new Map<string, number>();
  private readonly signatures = new Map<string, Signature>();
  /** Told the name of every function that is called while bodies are written. */
  onCall: ((name: string) => void) | null = null;
  /** Contents of table 0 by function name. */
  table: string[] = [];
  /** Entries of table 0 if more than `table` fills; with 'table' among the exports others may add functions. */
  tableSize = 0;
  /** Whether table 0 is exported as `table`, imported as `env.table`, or neither. */
  tableSharing: 'none' | 'export' | 'import' = 'none';
  /** The module carries its functions' names, for profilers and debuggers. */
  named = false;

  typeIndex(params: readonly WasmType[], results: readonly WasmType[]): number {
    const key = (s: Signature) => `${s.params.join()}>${s.results.join()}`;
    const wanted = key({ params, results });
    const at = this.types.findIndex((t) => key(t) === wanted);
    return at >= 0 ? at : this.types.push({ params, results }) - 1;
  }

  /** Imports `env.<name>`. All imports must come before the first function. */
  import(name: string, params: readonly WasmType[], results: readonly WasmType[]): void {
    if (this.functions.length) throw new Error('wasm: imports come first');
    this.index.set(name, this.imports.push({ name, params, results }) - 1);
    this.signatures.set(name, { params, results });
  }

  /** Declares a function; `body` writes it later. */
  func(
    name: string,
    params: readonly WasmType[],
    results: readonly WasmType[],
    body: (f: FunctionBuilder) => void,
    exported = false,
  ): void {
    if (this.index.has(name)) throw new Error(`wasm: function ${name} declared twice`);
    this.index.set(name, this.imports.length + this.functions.length);
    this.signatures.set(name, { params, results });
    this.functions.push({ name, params, results, body, exported });
  }

  /** Exports declared functions under their own names. */
  export(names: readonly string[]): void {
    for (const name of names) {
      const declared = this.functions.find((d) => d.name === name);
      if (!declared) throw new Error(`wasm: no function ${name} to export`);
      declared.exported = true;
    }
  }

  /** Names and types of the functions declared so far. */
  declared(): { name: string; params: readonly WasmType[]; results: readonly WasmType[] }[] {
    return this.functions.map(({ name, params, results }) => ({ name, params, results }));
  }

  has(name: string): boolean {
    return this.index.has(name);
  }
  indexOf(name: string): number {
    const i = this.index.get(name);
    if (i === undefined) throw new Error(`wasm: no function ${name}`);
    return i;
  }
  signature(name: string): Signature {
    const s = this.signatures.get(name);
    if (!s) throw new Error(`wasm: no function ${name}`);
    return s;
  }

  /** A function that never becomes part of the module. */
  scratch(): FunctionBuilder {
    return new FunctionBuilder(this, []);
  }

  /** The module's bytes. It imports `env.memory` (at least `minPages` of 64 KiB, at most 65536). */
  build(minPages: number): Uint8Array<ArrayBuffer> {
    // Bodies first: they may still add types.
    const bodies = this.functions.map((d) => {
      const f = new FunctionBuilder(this, d.params);
      d.body(f);
      return f.finish();
    });
    const out = new Bytes(1 << 16);
    out.bytes(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
    const section = (id: number, write: (b: Bytes) => void) => {
      const b = new Bytes(1024);
      write(b);
      out.u8(id);
      out.u32(b.n);
      out.bytes(b);
    };
    const functionTypes = this.functions.map((d) => this.typeIndex(d.params, d.results));
    const importTypes = this.imports.map((d) => this.typeIndex(d.params, d.results));
    section(1, (b) => {
      b.u32(this.types.length);
      for (const t of this.types) {
        b.u8(0x60);
        b.u32(t.params.length);
        for (const p of t.params) b.u8(TYPE_CODE[p]);
        b.u32(t.results.length);
        for (const r of t.results) b.u8(TYPE_CODE[r]);
      }
    });
    section(2, (b) => {
      b.u32(this.imports.length + (this.tableSharing === 'import' ? 2 : 1));
      this.imports.forEach((d, i) => {
        b.name('env');
        b.name(d.name);
        b.u8(0);
        b.u32(importTypes[i]!);
      });
      b.name('env');
      b.name('memory');
      b.u8(2);
      b.u8(1);
      b.u32(minPages);
      b.u32(65536);
      if (this.tableSharing === 'import') {
        b.name('env');
        b.name('table');
        for (const v of [1, 0x70, 0, 0]) b.u8(v);
      }
    });
    section(3, (b) => {
      b.u32(functionTypes.length);
      for (const t of functionTypes) b.u32(t);
    });
    if (this.table.length)
      section(4, (b) => {
        b.u32(1);
        b.u8(0x70);
        b.u8(0);
        b.u32(Math.max(this.table.length, this.tableSize));
      });
    section(7, (b) => {
      const exported = this.functions.filter((d) => d.exported);
      b.u32(exported.length + (this.tableSharing === 'export' ? 1 : 0));
      if (this.tableSharing === 'export') {
        b.name('table');
        b.u8(1);
        b.u8(0);
      }
      for (const d of exported) {
        b.name(d.name);
        b.u8(0);
        b.u32(this.indexOf(d.name));
      }
    });
    if (this.table.length)
      section(9, (b) => {
        b.u32(1);
        b.u32(0);
        b.u8(0x41);
        b.s32(0);
        b.u8(0x0b);
        b.u32(this.table.length);
        for (const name of this.table) b.u32(this.indexOf(name));
      });
    const hinted = bodies.flatMap(({ hints }, n) => (hints.length ? [{ hints, index: this.imports.length + n }] : []));
    if (hinted.length)
      section(0, (b) => {
        b.name('metadata.code.branch_hint');
        b.u32(hinted.length);
        for (const { hints, index } of hinted) {
          b.u32(index);
          b.u32(hints.length);
          for (const [offset, likely] of hints) {
            b.u32(offset);
            b.u8(1);
            b.u8(likely ? 1 : 0);
          }
        }
      });
    section(10, (b) => {
      b.u32(bodies.length);
      for (const { body } of bodies) {
        b.u32(body.n);
        b.bytes(body);
      }
    });
    if (this.named)
      section(0, (b) => {
        b.name('name');
        const names = new Bytes(1 << 14);
        names.u32(this.functions.length);
        this.functions.forEach(({ name }, n) => {
          names.u32(this.imports.length + n);
          names.name(name);
        });
        b.u8(1);
        b.u32(names.n);
        b.bytes(names);
      });
    return out.done();
  }
}
