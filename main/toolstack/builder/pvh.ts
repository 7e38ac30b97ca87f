// Builds a PVH domain: RAM in its second-level table, the kernel at its physical addresses, start_info with modules, memory
// map and ACPI tables, the special pages for console and xenstore, and the first vCPU at PHYS32_ENTRY (docs: xen/pvh).

import { loadPvh } from '../../machine/boot/pvh.ts';
import type { BootMemory, MemoryRange } from '../../machine/boot/boot-state.ts';
import type { ElfImage } from '../../machine/boot/elf.ts';
import { F, PAGE } from '../../machine/cpu/layout.ts';
import { enterKernel } from '../../machine/platform/enter.ts';
import type { Domain } from '../../hypervisor/domain.ts';
import { interceptHvm } from '../../hypervisor/intercepts.ts';
import { updateTimeInfo, updateWallClock } from '../../hypervisor/time/pv-clock.ts';
import { buildPvhAcpi } from './pvh-acpi.ts';
import { buildError, type BuiltDomain, type DomainImage } from './domain-image.ts';

/** Guest frames of the special pages below 0xff000000, as Xen's libraries place them. */
const STORE_GFN = 0xfeffc;
const CONSOLE_GFN = 0xfefff;
const SPECIAL_FIRST_GFN = 0xfeff8;
const PARAM = { STORE_PFN: 1, STORE_EVTCHN: 2, CONSOLE_PFN: 17, CONSOLE_EVTCHN: 18 } as const;
/** ACPI tables live here, in memory of their own. */
const ACPI_BASE = 0xfc00_0000;

export interface PvhPorts {
  consolePort: number;
  storePort: number;
}

export function buildPvh(d: Domain, image: ElfImage, spec: DomainImage, ports: PvhPorts): BuiltDomain {
  const ramPages = Math.floor(spec.memoryBytes / PAGE);
  const acpi = buildPvhAcpi(ACPI_BASE, spec.vcpus);
  const acpiPages = Math.ceil(acpi.bytes.length / PAGE);
  d.maxPages = ramPages + acpiPages + 8;
  const { p2m } = d.hvm!;
  const add = (gfn: number): void => {
    const mfn = d.allocatePage();
    if (mfn < 0)
      throw buildError(
        'not-enough-memory',
        `The host has no room for a domain of ${spec.memoryBytes / 2 ** 20} MiB.`,
        'Its free machine memory is used up.',
        'Give the domain less memory, or destroy another one.',
        'memoryMiB',
      );
    p2m.set(gfn, mfn);
  };
  for (let gfn = 0; gfn < ramPages; gfn++) add(gfn);
  for (let i = 0; i < acpiPages; i++) add(ACPI_BASE / PAGE + i);
  add(STORE_GFN);
  add(CONSOLE_GFN);
  const memory = guestMemory(d, ramPages * PAGE);
  memory.write(ACPI_BASE, acpi.bytes);
  const map: MemoryRange[] = [
    { start: 0, length: ramPages * PAGE, type: 1 },
    { start: ACPI_BASE, length: acpiPages * PAGE, type: 3 },
    { start: SPECIAL_FIRST_GFN * PAGE, length: 8 * PAGE, type: 2 },
  ];
  const boot = loadPvh(memory, image, {
    commandLine: spec.cmdline,
    ramdisk: spec.ramdisk,
    memoryMap: map,
    rsdp: acpi.rsdp,
  });
  d.memoryMap = map.map((r) => ({ address: r.start, size: r.length, type: r.type }));
  d.params[PARAM.STORE_PFN] = BigInt(STORE_GFN);
  d.params[PARAM.STORE_EVTCHN] = BigInt(ports.storePort);
  d.params[PARAM.CONSOLE_PFN] = BigInt(CONSOLE_GFN);
  d.params[PARAM.CONSOLE_EVTCHN] = BigInt(ports.consolePort);
  updateWallClock(d);
  for (const v of d.vcpus) updateTimeInfo(v);
  const v = d.vcpus[0];
  enterKernel(v.machine, boot);
  interceptHvm(v.machine);
  v.cpu.setU32(F.halted, 0);
  v.initialised = true;
  return {
    domain: d,
    bits: image.bits,
    rings: {
      consoleMfn: p2m.get(CONSOLE_GFN),
      storeMfn: p2m.get(STORE_GFN),
      consolePort: ports.consolePort,
      storePort: ports.storePort,
    },
  };
}

/** A domain's guest-physical memory as the loaders see it. */
export function guestMemory(d: Domain, size: number): BootMemory {
  const each = (address: number, length: number, visit: (maddr: number, offset: number, chunk: number) => void) => {
    for (let done = 0; done < length;) {
      const at = address + done;
      const chunk = Math.min(length - done, PAGE - (at % PAGE));
      const mfn = d.gfnToMfn(Math.floor(at / PAGE));
      if (mfn < 0) throw new RangeError(`guest-physical address 0x${at.toString(16)} has no memory`);
      visit(mfn * PAGE + (at % PAGE), done, chunk);
      done += chunk;
    }
  };
  return {
    size,
    write: (address, bytes) =>
      each(address, bytes.length, (maddr, offset, chunk) =>
        d.mem.copyIn(maddr, bytes.subarray(offset, offset + chunk)),
      ),
    clear: (address, length) => each(address, length, (maddr, _offset, chunk) => d.mem.fill(maddr, 0, chunk)),
  };
}
