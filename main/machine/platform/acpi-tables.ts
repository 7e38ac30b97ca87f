// The ACPI tables of the board: RSDP, RSDT, XSDT, FADT, FACS, MADT and DSDT (ACPI Specification 6.4, chapters 5.2 and 6).
// Invariant: they describe exactly the devices that platform/board.ts wires, and nothing else.
import { PM_BASE, PmRegister, RESET_PORT, RESET_VALUE, SCI_IRQ, SLEEP_TYPE_S5 } from '../devices/acpi-pm/registers.ts';
import * as aml from './aml.ts';
import { PhysicalAddress } from './memory-map.ts';

const OEM_ID = 'BLKHD ';
const OEM_TABLE_ID = 'BULKHEAD';
const CREATOR_ID = 'BLKH';
const HEADER_BYTES = 36;
const FADT_BYTES = 244; // revision 3
const FACS_BYTES = 64;

const FadtFlag = { Wbinvd: 1, C1: 4, NoSleepButton: 0x20, TimerIs32Bits: 0x100, ResetRegister: 0x400 } as const;
const BootArchitecture = { LegacyDevices: 1, Keyboard8042: 2 } as const;

export interface AcpiTables {
  /** Where the bytes go; the RSDP is at the start. */
  readonly address: number;
  readonly bytes: Uint8Array;
}

/**
 * @param vcpus number of processors; APIC IDs are 0 .. vcpus-1
 * @param ramBytes end of RAM: the rest below the I/O APIC is the PCI window
 */
export function buildAcpiTables(vcpus: number, ramBytes: number): AcpiTables {
  const base = PhysicalAddress.Tables;
  const facsAt = base + 0x40;
  const facs = new TableWriter(FACS_BYTES);
  facs.text(0, 'FACS');
  facs.u32(4, FACS_BYTES);

  const dsdtAt = facsAt + FACS_BYTES;
  const dsdt = table('DSDT', 2, Uint8Array.from(buildDsdt(ramBytes)));
  const fadtAt = align(dsdtAt + dsdt.length);
  const fadt = buildFadt(facsAt, dsdtAt);
  const madtAt = align(fadtAt + fadt.length);
  const madt = buildMadt(vcpus);
  const rsdtAt = align(madtAt + madt.length);
  const rsdt = pointerTable('RSDT', 4, [fadtAt, madtAt]);
  const xsdtAt = align(rsdtAt + rsdt.length);
  const xsdt = pointerTable('XSDT', 8, [fadtAt, madtAt]);

  const bytes = new Uint8Array(xsdtAt + xsdt.length - base);
  bytes.set(buildRsdp(rsdtAt, xsdtAt), 0);
  const placed: [number, Uint8Array][] = [
    [facsAt, facs.bytes],
    [dsdtAt, dsdt],
    [fadtAt, fadt],
    [madtAt, madt],
    [rsdtAt, rsdt],
    [xsdtAt, xsdt],
  ];
  for (const [at, contents] of placed) bytes.set(contents, at - base);
  return { address: base, bytes };
}

/** Little-endian fields at offsets. */
class TableWriter {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(length: number) {
    this.bytes = new Uint8Array(length);
    this.#view = new DataView(this.bytes.buffer);
  }

  u8(offset: number, value: number): void {
    this.#view.setUint8(offset, value);
  }

  u16(offset: number, value: number): void {
    this.#view.setUint16(offset, value, true);
  }

  u32(offset: number, value: number): void {
    this.#view.setUint32(offset, value, true);
  }

  u64(offset: number, value: number): void {
    this.#view.setBigUint64(offset, BigInt(value), true);
  }

  text(offset: number, value: string): void {
    this.bytes.set(new TextEncoder().encode(value), offset);
  }

  /** Generic Address Structure (5.2.3.2) in I/O space. */
  ioAddress(offset: number, port: number, bits: number): void {
    this.u8(offset, 1);
    this.u8(offset + 1, bits);
    this.u8(offset + 3, bits === 8 ? 1 : bits === 16 ? 2 : 3);
    this.u64(offset + 4, port);
  }
}

function align(address: number): number {
  return (address + 15) & ~15;
}

/** The byte that makes a range sum to 0. */
function checksum(bytes: Uint8Array): number {
  return -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
}

/** A table with its standard header (5.2.6). */
function table(signature: string, revision: number, body: Uint8Array): Uint8Array {
  const writer = new TableWriter(HEADER_BYTES + body.length);
  writer.text(0, signature);
  writer.u32(4, writer.bytes.length);
  writer.u8(8, revision);
  writer.text(10, OEM_ID);
  writer.text(16, OEM_TABLE_ID);
  writer.u32(24, 1);
  writer.text(28, CREATOR_ID);
  writer.u32(32, 1);
  writer.bytes.set(body, HEADER_BYTES);
  writer.u8(9, checksum(writer.bytes));
  return writer.bytes;
}

function buildRsdp(rsdt: number, xsdt: number): Uint8Array {
  const writer = new TableWriter(36);
  writer.text(0, 'RSD PTR ');
  writer.text(9, OEM_ID);
  writer.u8(15, 2);
  writer.u32(16, rsdt);
  writer.u32(20, 36);
  writer.u64(24, xsdt);
  writer.u8(8, checksum(writer.bytes.subarray(0, 20)));
  writer.u8(32, checksum(writer.bytes));
  return writer.bytes;
}

function pointerTable(signature: string, width: 4 | 8, pointers: readonly number[]): Uint8Array {
  const writer = new TableWriter(pointers.length * width);
  pointers.forEach((pointer, index) => (width === 4 ? writer.u32(index * 4, pointer) : writer.u64(index * 8, pointer)));
  return table(signature, 1, writer.bytes);
}

/** 5.2.9; offsets below are those of the specification's table minus the header. */
function buildFadt(facs: number, dsdt: number): Uint8Array {
  const writer = new TableWriter(FADT_BYTES - HEADER_BYTES);
  const at = (offset: number): number => offset - HEADER_BYTES;
  writer.u32(at(36), facs);
  writer.u32(at(40), dsdt);
  writer.u16(at(46), SCI_IRQ);
  writer.u32(at(56), PM_BASE + PmRegister.Status);
  writer.u32(at(64), PM_BASE + PmRegister.Control);
  writer.u32(at(76), PM_BASE + PmRegister.Timer);
  writer.u8(at(88), 4); // PM1 event block
  writer.u8(at(89), 2); // PM1 control block
  writer.u8(at(91), 4); // PM timer
  writer.u16(at(96), 0xffff); // C2 not supported
  writer.u16(at(98), 0xffff); // C3 not supported
  writer.u8(at(108), 0x32); // century byte of the real-time clock
  writer.u16(at(109), BootArchitecture.LegacyDevices | BootArchitecture.Keyboard8042);
  writer.u32(
    at(112),
    FadtFlag.Wbinvd | FadtFlag.C1 | FadtFlag.NoSleepButton | FadtFlag.TimerIs32Bits | FadtFlag.ResetRegister,
  );
  writer.ioAddress(at(116), RESET_PORT, 8);
  writer.u8(at(128), RESET_VALUE);
  writer.u64(at(132), facs);
  writer.u64(at(140), dsdt);
  writer.ioAddress(at(148), PM_BASE + PmRegister.Status, 32);
  writer.ioAddress(at(172), PM_BASE + PmRegister.Control, 16);
  writer.ioAddress(at(208), PM_BASE + PmRegister.Timer, 32);
  return table('FACP', 3, writer.bytes);
}

/** 5.2.12: local APICs, the I/O APIC, the two interrupts that are not wired one to one, and LINT1 = NMI. */
function buildMadt(vcpus: number): Uint8Array {
  const entries: number[] = [];
  for (let id = 0; id < vcpus; id++) entries.push(0, 8, id, id, 1, 0, 0, 0);
  entries.push(1, 12, vcpus, 0, 0x00, 0x00, 0xc0, 0xfe, 0, 0, 0, 0);
  entries.push(2, 10, 0, 0, 2, 0, 0, 0, 0, 0); // IRQ 0 is on pin 2
  entries.push(2, 10, 0, SCI_IRQ, SCI_IRQ, 0, 0, 0, 0x0d, 0); // SCI: active high, level triggered
  entries.push(4, 6, 0xff, 0, 0, 1);
  const writer = new TableWriter(8 + entries.length);
  writer.u32(0, PhysicalAddress.LocalApic);
  writer.u32(4, 1); // an 8259 pair is there too
  writer.bytes.set(entries, 8);
  return table('APIC', 3, writer.bytes);
}

function buildDsdt(ramBytes: number): aml.Aml {
  const pciWindow = Math.max(0xc000_0000, Math.ceil(ramBytes / 0x1000_0000) * 0x1000_0000);
  const legacy = (path: string, id: string, ...settings: aml.Aml[]): aml.Aml =>
    aml.device(path, aml.name('_HID', aml.eisaId(id)), aml.name('_CRS', aml.resources(...settings)));
  return [
    ...aml.name(
      '\\_S5',
      aml.packageOf(aml.integer(SLEEP_TYPE_S5), aml.integer(SLEEP_TYPE_S5), aml.integer(0), aml.integer(0)),
    ),
    ...aml.scope(
      '\\_SB',
      aml.device(
        'PCI0',
        aml.name('_HID', aml.eisaId('PNP0A03')),
        aml.name('_ADR', aml.integer(0)),
        aml.name('_UID', aml.integer(0)),
        aml.name(
          '_CRS',
          aml.resources(
            aml.busNumbers(0, 255),
            aml.ioPorts(0xcf8, 8),
            aml.ioWindow(0, 0xcf7),
            aml.ioWindow(0xd00, 0xffff),
            aml.memoryWindow(PhysicalAddress.VgaWindow, 0xb_ffff),
            aml.memoryWindow(pciWindow, PhysicalAddress.IoApic - 1),
          ),
        ),
        aml.device(
          'ISA_',
          aml.name('_ADR', aml.integer(0x1_0000)),
          legacy('COM1', 'PNP0501', aml.ioPorts(0x3f8, 8), aml.irq(4)),
          legacy('KBD_', 'PNP0303', aml.ioPorts(0x60, 1), aml.ioPorts(0x64, 1), aml.irq(1)),
          legacy('MOU_', 'PNP0F13', aml.irq(12)),
          legacy('RTC_', 'PNP0B00', aml.ioPorts(0x70, 2), aml.irq(8)),
        ),
      ),
    ),
  ];
}
