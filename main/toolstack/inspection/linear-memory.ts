// A vCPU's memory as it sees it, read from its page tables without a trace: no accessed bits, no TLB, no faults.
// Source: SDM vol. 3, chapter 4.

import type { HostMemory } from '../../machine/cpu/host-memory.ts';
import { F, PAGE, PAGE_FLAGS, PageFlag, RAM_BASE } from '../../machine/cpu/layout.ts';
import type { Vcpu } from '../../machine/cpu/vcpu.ts';

const CR0_PG = 0x8000_0000;
const CR4_PSE = 0x10;
const CR4_PAE = 0x20;
const EFER_LMA = 0x400;
const PRESENT = 1;
const LARGE = 0x80;
const ADDRESS = 0x000f_ffff_ffff_f000n;

/** Machine address of a byte that the guest calls physical; -1 when it has no memory there. */
export type PhysicalMemory = (address: number) => number;

/** Whether there is RAM at a machine address: not a device's page. */
function isRam(mem: HostMemory, maddr: number): boolean {
  return maddr >= 0 && maddr < mem.ramBytes && (mem.u8[PAGE_FLAGS + Math.floor(maddr / PAGE)]! & PageFlag.Device) === 0;
}

/** Physical address of a linear one, -1 when it is not mapped. @param table how the physical addresses in tables are found */
export function linearToPhysical(cpu: Vcpu, mem: HostMemory, table: PhysicalMemory, linear: bigint): number {
  if ((cpu.get32(F.cr0) & CR0_PG) === 0) return Number(linear & 0xffff_ffffn);
  const cr4 = cpu.get32(F.cr4);
  const cr3 = cpu.get64(F.cr3);
  const entry = (at: number, wide: boolean): bigint => {
    const maddr = table(at);
    if (!isRam(mem, maddr)) return 0n;
    const word = (RAM_BASE + maddr) >>> 2;
    const low = BigInt(mem.u32[word]!);
    return wide ? (BigInt(mem.u32[word + 1]!) << 32n) | low : low;
  };
  const index = (shift: number, bits: number): number =>
    Number((linear >> BigInt(shift)) & ((1n << BigInt(bits)) - 1n));
  const within = (shift: number): number => Number(linear & ((1n << BigInt(shift)) - 1n));
  if ((cr4 & CR4_PAE) === 0) {
    const directory = entry(Number(cr3 & 0xffff_f000n) + index(22, 10) * 4, false);
    if (!(Number(directory) & PRESENT)) return -1;
    // PSE-36: bits 13 to 20 are address bits 32 to 39
    if ((cr4 & CR4_PSE) !== 0 && Number(directory) & LARGE)
      return Number(directory & 0xffc0_0000n) + Number((directory >> 13n) & 0xffn) * 2 ** 32 + within(22);
    const page = entry(Number(directory & 0xffff_f000n) + index(12, 10) * 4, false);
    return Number(page) & PRESENT ? Number(page & 0xffff_f000n) + within(12) : -1;
  }
  const long = (cpu.get32(F.efer) & EFER_LMA) !== 0;
  const levels: readonly (readonly [shift: number, bits: number])[] = long
    ? [
        [39, 9],
        [30, 9],
        [21, 9],
        [12, 9],
      ]
    : [
        [30, 2],
        [21, 9],
        [12, 9],
      ];
  let base = Number(long ? cr3 & ADDRESS : cr3 & 0xffff_ffe0n);
  for (const [shift, bits] of levels) {
    const e = entry(base + index(shift, bits) * 8, true);
    if ((e & 1n) === 0n) return -1;
    base = Number(e & ADDRESS);
    if (shift === 12) return base + within(12);
    if ((Number(e & 0xffn) & LARGE) !== 0 && (shift === 21 || (shift === 30 && long)))
      return base - (base % 2 ** shift) + within(shift);
  }
  return -1;
}

/** Bytes from a linear or physical address on; null where there is no memory. @param locate machine address of an address, or -1 */
export function readBytes(
  mem: HostMemory,
  locate: (address: bigint) => number,
  address: bigint,
  count: number,
  bits: 32 | 64,
): (number | null)[] {
  const bytes: (number | null)[] = [];
  for (let done = 0; done < count;) {
    const at = BigInt.asUintN(bits, address + BigInt(done));
    const chunk = Math.min(count - done, PAGE - Number(at & 0xfffn));
    const maddr = locate(at);
    const there = isRam(mem, maddr);
    for (let n = 0; n < chunk; n++) bytes.push(there ? mem.u8[RAM_BASE + maddr + n]! : null);
    done += chunk;
  }
  return bytes;
}
