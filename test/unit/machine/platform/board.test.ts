import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../../main/machine/clock.ts';
import { buildAcpiTables } from '../../../../main/machine/platform/acpi-tables.ts';
import { Board } from '../../../../main/machine/platform/board.ts';
import { pcMemoryMap } from '../../../../main/machine/platform/memory-map.ts';

let clock: ManualClock;
let log: string[];
let board: Board;

function create(): Board {
  return new Board(clock, 2, 64 * 1024 * 1024, 0, {
    serialOutput: (byte) => log.push(`serial ${byte}`),
    interruptsChanged: () => {},
    nmi: (vcpu) => log.push(`nmi ${vcpu}`),
    init: (vcpu) => log.push(`init ${vcpu}`),
    startup: (vcpu, vector) => log.push(`startup ${vcpu} ${vector}`),
    powerOff: () => log.push('off'),
    reset: () => log.push('reset'),
  });
}

beforeEach(() => {
  clock = new ManualClock();
  log = [];
  board = create();
});

describe('Board', () => {
  it('reads all ones where nothing answers and takes wide accesses apart', () => {
    expect(board.ioRead(0x1234, 4)).toBe(0xffff_ffff);
    expect(board.mmioRead(0xd000_0000, 2)).toBe(0xffff);
    board.ioWrite(0x3fb, 1, 0x80);
    board.ioWrite(0x3f8, 2, 0x0203);
    expect(board.ioRead(0x3f8, 2)).toBe(0x0203);
    board.ioWrite(0xcf8, 4, 0x8000_0000);
    expect(board.ioRead(0xcfc, 4)).toBe(0x1237_8086);
    board.ioWrite(0xcf9, 1, 6);
    expect(log).toEqual(['reset']);
  });

  it('routes interrupts through the 8259 pair in virtual wire mode, to the bootstrap processor only', () => {
    board.initializeLikeFirmware();
    board.ioWrite(0x21, 1, 0xef);
    board.ioWrite(0x3fc, 1, 0x08);
    board.ioWrite(0x3f9, 1, 0x02);
    expect([board.interruptPending(0), board.interruptPending(1)]).toEqual([true, false]);
    expect(board.acknowledgeInterrupt(0)).toBe(0x0c);
    expect(board.interruptPending(0)).toBe(false);
  });

  it('routes interrupts through the I/O APIC to the processor it names, the timer on pin 2', () => {
    board.initializeLikeFirmware();
    const redirect = (pin: number, low: number, high: number): void => {
      board.mmioWrite(0xfec0_0000, 4, 0x11 + pin * 2);
      board.mmioWrite(0xfec0_0010, 4, high);
      board.mmioWrite(0xfec0_0000, 4, 0x10 + pin * 2);
      board.mmioWrite(0xfec0_0010, 4, low);
    };
    redirect(2, 0x40, 1 << 24);
    board.ioWrite(0x43, 1, 0x34);
    board.ioWrite(0x40, 1, 0xff);
    board.ioWrite(0x40, 1, 0xff);
    clock.advanceTo(100_000_000);
    expect([board.interruptPending(0), board.interruptPending(1)]).toEqual([false, true]);
    expect(board.acknowledgeInterrupt(1)).toBe(0x40);
  });

  it('shows each processor its own local APIC, where its base register says', () => {
    expect(board.mmioRead(0xfee0_0020, 4)).toBe(0);
    board.currentVcpu = 1;
    expect(board.mmioRead(0xfee0_0020, 4)).toBe(0x0100_0000);
    expect(board.readMsr(1, 0x1b)).toEqual({ lo: 0xfee0_0800, hi: 0 });
    expect(board.writeMsr(1, 0x1b, 0xfed0_0800, 0)).toBe(true);
    expect(board.mmioRead(0xfee0_0020, 4)).toBe(0xffff_ffff);
    expect(board.mmioRead(0xfed0_0020, 4)).toBe(0x0100_0000);
    expect(board.readMsr(0, 0x1234)).toBe(null);
    expect(board.writeMsr(0, 0x808, 0x50, 0)).toBe(true);
    expect(board.localApics[0].cr8).toBe(5);
  });

  it('carries messages between processors', () => {
    board.mmioWrite(0xfee0_0300, 4, 0x000c_4500);
    board.mmioWrite(0xfee0_0310, 4, 0x0100_0000);
    board.mmioWrite(0xfee0_0300, 4, 0x0000_4608);
    board.mmioWrite(0xfee0_0300, 4, 0x0000_4400);
    expect(log).toEqual(['init 1', 'startup 1 8', 'nmi 1']);
  });

  it('passes on what the guest asks of the machine', () => {
    board.ioWrite(0x3f8, 1, 65);
    board.ioWrite(0x64, 1, 0xfe);
    board.ioWrite(0x92, 1, 0x01);
    board.ioWrite(0xb004, 2, 0x3400);
    board.ioWrite(0x80, 1, 0x42);
    expect(log).toEqual(['serial 65', 'reset', 'reset', 'off']);
    expect(board.systemControl.postCode).toBe(0x42);
    expect(board.ioRead(0x92, 1)).toBe(2);
  });

  it('goes on after its state was taken and set', () => {
    board.initializeLikeFirmware();
    board.ioWrite(0x21, 1, 0xee);
    board.ioWrite(0x43, 1, 0x34);
    board.ioWrite(0x40, 1, 0x00);
    board.ioWrite(0x40, 1, 0x10);
    clock.advanceTo(1_000_000);
    const state = board.getState();
    const copy = create();
    copy.setState(structuredClone(state));
    expect(copy.getState()).toEqual(state);
    expect(copy.interruptPending(0)).toBe(board.interruptPending(0));
    clock.advanceTo(10_000_000);
    expect(copy.interruptPending(0)).toBe(true);
    expect(copy.acknowledgeInterrupt(0)).toBe(8);
    expect(() => copy.setState({ ...state, version: 7 as never })).toThrow(/version 7/);
  });
});

describe('ACPI tables', () => {
  const { address, bytes } = buildAcpiTables(4, 64 * 1024 * 1024);
  const view = new DataView(bytes.buffer);
  const sum = (from: number, length: number): number =>
    bytes.subarray(from, from + length).reduce((total, byte) => total + byte, 0) & 0xff;
  const signature = (at: number): string => new TextDecoder().decode(bytes.subarray(at, at + 4));
  const pointer = (at: number): number => view.getUint32(at, true) - address;

  it('are found from the RSDP and all sum to zero', () => {
    expect(new TextDecoder().decode(bytes.subarray(0, 8))).toBe('RSD PTR ');
    expect([sum(0, 20), sum(0, 36)]).toEqual([0, 0]);
    const rsdt = pointer(16);
    const xsdt = pointer(24);
    expect([signature(rsdt), signature(xsdt)]).toEqual(['RSDT', 'XSDT']);
    const tables = [rsdt, xsdt, pointer(rsdt + 36), pointer(rsdt + 40), pointer(pointer(rsdt + 36) + 40)];
    expect(tables.slice(2).map(signature)).toEqual(['FACP', 'APIC', 'DSDT']);
    for (const table of tables) expect(sum(table, view.getUint32(table + 4, true))).toBe(0);
    expect(view.getUint32(xsdt + 36, true) - address).toBe(tables[2]);
  });

  it('name every processor and the way to switch off', () => {
    const madt = pointer(pointer(16) + 40);
    const entries: number[][] = [];
    for (let at = madt + 44; at < madt + view.getUint32(madt + 4, true); at += bytes[at + 1])
      entries.push([...bytes.subarray(at, at + bytes[at + 1])]);
    expect(entries.filter((entry) => entry[0] === 0).map((entry) => entry[3])).toEqual([0, 1, 2, 3]);
    const dsdt = pointer(pointer(pointer(16) + 36) + 40);
    // Name (\_S5_, Package (4) {5, 5, 0, 0})
    expect([...bytes.subarray(dsdt + 36, dsdt + 50)]).toEqual([
      8, 0x5c, 0x5f, 0x53, 0x35, 0x5f, 0x12, 8, 4, 0x0a, 5, 0x0a, 5, 0,
    ]);
  });
});

describe('pcMemoryMap', () => {
  it('covers RAM in order without overlaps', () => {
    const map = pcMemoryMap(32 * 1024 * 1024);
    for (let index = 1; index < map.length; index++)
      expect(map[index].start).toBeGreaterThanOrEqual(map[index - 1].start + map[index - 1].length);
    expect(map.at(-1)).toEqual({ start: 0x10_0000, length: 31 * 1024 * 1024, type: 1 });
  });
});
