// The disassembler against the decoder of the CPU core (lengths, undefined codes) and against encodings whose text is known.

import { describe, expect, it } from 'vitest';
import { CpuCore } from '../../../../main/machine/cpu/core.ts';
import { defineDecoder } from '../../../../main/machine/cpu/decoder.ts';
import { HostMemory } from '../../../../main/machine/cpu/host-memory.ts';
import { decodeTables } from '../../../../main/machine/cpu/interpreter.ts';
import { F, OP, RAM_BASE, SCRATCH, STATE } from '../../../../main/machine/cpu/layout.ts';
import { MODE_KEY_64, ModeKey } from '../../../../main/machine/cpu/mode.ts';
import { ModuleBuilder } from '../../../../main/machine/wasm/module.ts';
import { disassemble, type CodeSize } from '../../../../main/machine/isa/disassemble.ts';
import { INSTRUCTIONS } from '../../../../main/machine/isa/table.ts';
import { Random } from '../../../fuzz/random.ts';
import { encodingBytes } from '../../../fuzz/random-code.ts';

const mem = new HostMemory(8192);
new CpuCore(mem); // writes the decoder's tables
const undefinedHandler = decodeTables().all.find((h) => h.instruction.routine === 'ud')!.id;
const decoders = Object.fromEntries(
  ([32, 64] as const).map((mode) => {
    const m = new ModuleBuilder();
    defineDecoder(m, mode, undefinedHandler);
    m.func(
      'decode',
      ['i32', 'i32'],
      ['i32'],
      (f) =>
        f.return(
          f.call(
            'decode_one',
            f.params[0]!,
            f.params[1]!,
            f.params[1]!.and(0).add(SCRATCH),
            f.params[1]!.and(0).add(0xffff),
          ),
        ),
      true,
    );
    const instance = new WebAssembly.Instance(new WebAssembly.Module(m.build(16)), { env: { memory: mem.memory } });
    return [mode, instance.exports.decode as (page: number, offset: number) => number];
  }),
) as Record<32 | 64, (page: number, offset: number) => number>;
const KEY: Record<CodeSize, number> = { 16: ModeKey.Code16, 32: ModeKey.Code32, 64: MODE_KEY_64 };

/** Length and whether the core calls it undefined. */
function decode(bytes: Uint8Array, size: CodeSize): { length: number; undefined: boolean } {
  mem.u8.set(bytes, RAM_BASE);
  mem.i32[(STATE + F.mode) >> 2] = KEY[size];
  const end = decoders[size === 64 ? 64 : 32](RAM_BASE, 0) & 0xffff;
  return { length: end, undefined: mem.u16[(SCRATCH + OP.handler) >> 1] === undefinedHandler };
}
const hex = (bytes: Uint8Array, n: number): string =>
  [...bytes.subarray(0, n)].map((b) => b.toString(16).padStart(2, '0')).join(' ');

describe('lengths and undefined codes are those of the decoder', () => {
  const compare = (bytes: Uint8Array, size: CodeSize): void => {
    const expected = decode(bytes, size);
    const d = disassemble(bytes, 0, size)!;
    const what = `${size} bits: ${hex(bytes, expected.length)} ${d.text}`;
    expect(`${what}: ${d.length}`).toBe(`${what}: ${expected.length}`);
    if (d.name !== 'ud2') expect(`${what}: ${d.name === '(bad)'}`).toBe(`${what}: ${expected.undefined}`);
  };
  for (const size of [16, 32, 64] as const) {
    it(`${size} bits, every row of the table`, () => {
      const r = new Random(size);
      for (const instruction of INSTRUCTIONS)
        for (const encoding of instruction.encodings)
          for (let n = 0; n < 12; n++) {
            const bytes = new Uint8Array(32).map(() => r.below(256));
            bytes.set(encodingBytes(r, { instruction, encoding }, size === 64));
            compare(bytes, size);
          }
    });
    it(`${size} bits, random bytes`, () => {
      const r = new Random(size + 1);
      for (let n = 0; n < 20_000; n++)
        compare(
          new Uint8Array(32).map(() => r.below(256)),
          size,
        );
    });
  }
});

describe('text', () => {
  const cases: [CodeSize, string, string][] = [
    [64, '90', 'nop'],
    [64, 'f3 90', 'pause'],
    [64, '48 89 e5', 'mov rbp,rsp'],
    [64, '48 8b 44 24 08', 'mov rax,QWORD PTR [rsp+0x8]'],
    [64, '8b 45 fc', 'mov eax,DWORD PTR [rbp-0x4]'],
    [64, '48 8d 05 10 00 00 00', 'lea rax,[rip+0x10]'],
    [64, '48 8d 3c 8a', 'lea rdi,[rdx+rcx*4]'],
    [64, '48 83 ec 10', 'sub rsp,0x10'],
    [64, '48 83 c4 f0', 'add rsp,0xfffffffffffffff0'],
    [64, '41 55', 'push r13'],
    [64, '5d', 'pop rbp'],
    [64, '40 88 f7', 'mov dil,sil'],
    [64, '88 e5', 'mov ch,ah'],
    [64, '0f b6 c0', 'movzx eax,al'],
    [64, '4c 0f af c7', 'imul r8,rdi'],
    [64, '48 b8 88 77 66 55 44 33 22 11', 'mov rax,0x1122334455667788'],
    [64, 'eb fe', 'jmp 0x1000'],
    [64, 'e8 fb ff ff ff', 'call 0x1000'],
    [64, 'c3', 'ret'],
    [64, '0f 05', 'syscall'],
    [64, '0f 01 f8', 'swapgs'],
    [64, '48 cf', 'iretq'],
    [64, 'f3 48 a5', 'rep movsq'],
    [64, 'f0 0f b1 0e', 'lock cmpxchg DWORD PTR [rsi],ecx'],
    [64, 'f0 48 0f c7 0f', 'lock cmpxchg16b [rdi]'],
    [64, '65 48 8b 04 25 28 00 00 00', 'mov rax,QWORD PTR gs:[0x28]'],
    [64, '0f 22 d8', 'mov cr3,rax'],
    [64, '0f 20 c0', 'mov rax,cr0'],
    [64, '66 0f ef c9', 'pxor xmm1,xmm1'],
    [64, 'f2 0f 58 07', 'addsd xmm0,QWORD PTR [rdi]'],
    [64, '66 0f 70 c1 4e', 'pshufd xmm0,xmm1,0x4e'],
    [64, '99', 'cdq'],
    [64, 'ff 25 00 00 00 00', 'jmp QWORD PTR [rip+0x0]'],
    [32, 'd9 c9', 'fxch st(1)'],
    [32, 'de c1', 'faddp st(1),st'],
    [32, 'dd 45 08', 'fld QWORD PTR [ebp+0x8]'],
    [32, '06', 'push es'],
    [32, '60', 'pushad'],
    [32, 'ea 78 56 34 12 08 00', 'jmpf 0x8:0x12345678'],
    [32, 'a1 00 10 00 00', 'mov eax,DWORD PTR [0x1000]'],
    [32, '6a ff', 'push 0xffffffff'],
    [32, 'cd 80', 'int 0x80'],
    [32, 'c1 e0 04', 'shl eax,0x4'],
    [32, 'd1 f8', 'sar eax,1'],
    [32, '0f 0b', 'ud2'],
    [16, '8b 87 00 10', 'mov ax,WORD PTR [bx+0x1000]'],
    [16, '26 8a 00', 'mov al,BYTE PTR es:[bx+si]'],
    [16, '66 b8 78 56 34 12', 'mov eax,0x12345678'],
    [16, 'e4 60', 'in al,0x60'],
    [16, 'e3 fe', 'jcxz 0x1000'],
    [64, '49 90', 'xchg r8,rax'],
    [64, '48 90', 'nop'],
    [64, '66 0f 57 c1', 'xorpd xmm0,xmm1'],
    [64, 'c1 e0 83', 'shl eax,0x83'],
    [64, '06', '(bad)'],
    [64, 'f0 90', '(bad)'],
  ];
  for (const [size, code, text] of cases)
    it(`${size} bits: ${code} is ${text}`, () => {
      const bytes = Uint8Array.from(code.split(' ').map((b) => parseInt(b, 16)));
      const d = disassemble(bytes, 0, size, 0x1000n)!;
      expect(d.text).toBe(text);
      expect(d.length).toBe(bytes.length);
    });
  it('is null when the bytes end before the instruction does', () => {
    expect(disassemble(Uint8Array.of(0x48, 0x8b), 0, 64)).toBeNull();
    expect(disassemble(Uint8Array.of(0xe8, 0, 0), 0, 32)).toBeNull();
  });
});

it('REX.B makes 90 an exchange with R8 in the decoder as well', () => {
  const operation = (...code: number[]): [number, number] => {
    decode(Uint8Array.from([...code, 0, 0, 0, 0]), 64);
    return [mem.u16[(SCRATCH + OP.handler) >> 1]!, mem.u8[SCRATCH + OP.rm]!];
  };
  const [exchange, rm] = operation(0x49, 0x91);
  expect(rm).toBe(9 * 8);
  expect(operation(0x49, 0x90)).toEqual([exchange, 8 * 8]);
  expect(operation(0x48, 0x90)[0]).toBe(operation(0x90)[0]);
  expect(operation(0x90)[0]).not.toBe(exchange);
});
