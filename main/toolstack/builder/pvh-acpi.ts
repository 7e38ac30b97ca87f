// ACPI tables of a PVH domain: local APICs and nothing else. There is no PM hardware, so the FADT says "hardware-reduced"
// (ACPI Specification 6.4, 5.2.9 and 5.2.12).

import { SLEEP_CONTROL_PORT, SLEEP_STATUS_PORT, SLEEP_TYPE_S5 } from '../../hypervisor/hvm/sleep.ts';
import * as aml from '../../machine/platform/aml.ts';

const HEADER_BYTES = 36;
const FADT_BYTES = 268; // revision 5
const LOCAL_APIC = 0xfee0_0000;
const HW_REDUCED = 1 << 20;
const WBINVD = 1;
const NO_VGA = 4;
const NO_RTC = 0x20;

export interface PvhAcpi {
  readonly bytes: Uint8Array;
  /** Guest-physical address of the RSDP. */
  readonly rsdp: number;
}

/** @param base guest-physical address of the tables; @param vcpus processors, with APIC IDs 0, 2, 4 ... as Xen numbers them */
export function buildPvhAcpi(base: number, vcpus: number): PvhAcpi {
  const dsdtAt = base + 0x40;
  const dsdt = table(
    'DSDT',
    2,
    Uint8Array.from([
      ...aml.name(
        '\\_S5',
        aml.packageOf(aml.integer(SLEEP_TYPE_S5), aml.integer(SLEEP_TYPE_S5), aml.integer(0), aml.integer(0)),
      ),
    ]),
  );
  const fadtAt = align(dsdtAt + dsdt.length);
  const fadt = buildFadt(dsdtAt);
  const madtAt = align(fadtAt + fadt.length);
  const madt = buildMadt(vcpus);
  const xsdtAt = align(madtAt + madt.length);
  const pointers = new DataView(new ArrayBuffer(16));
  pointers.setBigUint64(0, BigInt(fadtAt), true);
  pointers.setBigUint64(8, BigInt(madtAt), true);
  const xsdt = table('XSDT', 1, new Uint8Array(pointers.buffer));
  const bytes = new Uint8Array(xsdtAt + xsdt.length - base);
  const rsdp = new DataView(bytes.buffer, 0, 36);
  bytes.set(ascii('RSD PTR '), 0);
  bytes.set(ascii('BLKHD '), 9);
  rsdp.setUint8(15, 2);
  rsdp.setUint32(20, 36, true);
  rsdp.setBigUint64(24, BigInt(xsdtAt), true);
  rsdp.setUint8(8, checksum(bytes.subarray(0, 20)));
  rsdp.setUint8(32, checksum(bytes.subarray(0, 36)));
  for (const [at, contents] of [
    [dsdtAt, dsdt],
    [fadtAt, fadt],
    [madtAt, madt],
    [xsdtAt, xsdt],
  ] as const)
    bytes.set(contents, at - base);
  return { bytes, rsdp: base };
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
function align(address: number): number {
  return Math.ceil(address / 16) * 16;
}
function checksum(bytes: Uint8Array): number {
  return -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
}

function table(signature: string, revision: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + body.length);
  const view = new DataView(bytes.buffer);
  bytes.set(ascii(signature), 0);
  view.setUint32(4, bytes.length, true);
  bytes[8] = revision;
  bytes.set(ascii('BLKHD '), 10);
  bytes.set(ascii('BULKHEAD'), 16);
  view.setUint32(24, 1, true);
  bytes.set(ascii('BLKH'), 28);
  view.setUint32(32, 1, true);
  bytes.set(body, HEADER_BYTES);
  bytes[9] = checksum(bytes);
  return bytes;
}

function buildFadt(dsdt: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(FADT_BYTES - HEADER_BYTES));
  view.setUint32(40 - HEADER_BYTES, dsdt, true);
  view.setUint16(109 - HEADER_BYTES, NO_VGA | NO_RTC, true);
  view.setUint32(112 - HEADER_BYTES, HW_REDUCED | WBINVD, true);
  view.setUint8(131 - HEADER_BYTES, 1); // minor version: 5.1
  view.setBigUint64(140 - HEADER_BYTES, BigInt(dsdt), true);
  ioRegister(view, 244 - HEADER_BYTES, SLEEP_CONTROL_PORT);
  ioRegister(view, 256 - HEADER_BYTES, SLEEP_STATUS_PORT);
  return table('FACP', 5, new Uint8Array(view.buffer));
}

/** Generic Address Structure (5.2.3.2) of one byte in I/O space. */
function ioRegister(view: DataView, at: number, port: number): void {
  view.setUint8(at, 1);
  view.setUint8(at + 1, 8);
  view.setUint8(at + 3, 1);
  view.setBigUint64(at + 4, BigInt(port), true);
}

function buildMadt(vcpus: number): Uint8Array {
  const body = new DataView(new ArrayBuffer(8 + vcpus * 8));
  body.setUint32(0, LOCAL_APIC, true);
  for (let i = 0; i < vcpus; i++) {
    const at = 8 + i * 8;
    body.setUint8(at, 0);
    body.setUint8(at + 1, 8);
    body.setUint8(at + 2, i);
    body.setUint8(at + 3, i * 2);
    body.setUint32(at + 4, 1, true);
  }
  return table('APIC', 3, new Uint8Array(body.buffer));
}
