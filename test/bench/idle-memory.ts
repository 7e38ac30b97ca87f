// What an idle host with 3.5 GiB of machine memory costs: resident memory of the process before and after it is made and has halted
// for a virtual second. Prints MiB as JSON.
import { PcMachine } from '../../main/machine/platform/pc.ts';

const MiB = 1024 * 1024;
/** A multiboot kernel that halts for good: header, CLI, HLT, JMP to the HLT. */
function halting(): Uint8Array {
  const at = 0x10_0000;
  const image = new Uint8Array(64);
  const view = new DataView(image.buffer);
  // address fields are given (bit 16), so that no ELF is needed: header, load, load end, bss end, entry
  [0x1bad_b002, 0x1_0000, -(0x1bad_b002 + 0x1_0000) >>> 0, at, at, at + 64, at + 64, at + 48].forEach((word, n) =>
    view.setUint32(n * 4, word, true),
  );
  image.set([0xfa, 0xf4, 0xeb, 0xfd], 48);
  return image;
}
const before = process.memoryUsage().rss;
const machine = new PcMachine({ ramBytes: 3584 * MiB, vcpus: 1, clockMHz: 1000, epochSeconds: 0, onSerial: () => {} });
machine.load({ kernel: halting(), ramdisk: null, commandLine: '' });
machine.runUntil(1e9);
console.log(JSON.stringify({ memoryMiB: 3584, residentMiB: Math.round((process.memoryUsage().rss - before) / MiB) }));
