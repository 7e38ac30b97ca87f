import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../../main/machine/clock.ts';
import { LocalApic } from '../../../../main/machine/devices/local-apic/device.ts';
import { type InterruptMessage, routeMessage } from '../../../../main/machine/devices/local-apic/messages.ts';
import { ApicRegister as R } from '../../../../main/machine/devices/local-apic/registers.ts';

let clock: ManualClock;
let log: string[];
let sent: { message: InterruptMessage; shorthand: number }[];
let apic: LocalApic;

function create(id: number, bootstrap = id === 0): LocalApic {
  return new LocalApic(id, bootstrap, clock, {
    send: (message, shorthand) => sent.push({ message, shorthand }),
    endOfInterrupt: (vector) => log.push(`eoi ${vector}`),
    nmi: () => log.push('nmi'),
    init: () => log.push('init'),
    startup: (vector) => log.push(`startup ${vector}`),
    changed: () => {},
  });
}

beforeEach(() => {
  clock = new ManualClock();
  log = [];
  sent = [];
  apic = create(0);
  apic.write(R.Svr, 0x1ff);
});

describe('local APIC', () => {
  it('delivers the highest vector first and holds back its own class while in service', () => {
    apic.raise(0x41, false);
    apic.raise(0x52, false);
    expect(apic.acknowledge()).toBe(0x52);
    expect(apic.interruptPending()).toBe(false);
    apic.raise(0x55, false);
    expect(apic.interruptPending()).toBe(false); // same class
    apic.raise(0x61, false);
    expect(apic.acknowledge()).toBe(0x61);
    apic.write(R.Eoi, 0);
    apic.write(R.Eoi, 0);
    expect(apic.acknowledge()).toBe(0x55);
    apic.write(R.Eoi, 0);
    expect(apic.acknowledge()).toBe(0x41);
  });

  it('holds back what is not above the task priority, and shows the processor priority', () => {
    apic.write(R.Tpr, 0x45);
    apic.raise(0x4f, false);
    expect(apic.interruptPending()).toBe(false);
    expect(apic.read(R.Ppr)).toBe(0x45);
    apic.cr8 = 3;
    expect(apic.read(R.Tpr)).toBe(0x30);
    expect(apic.acknowledge()).toBe(0x4f);
    expect(apic.read(R.Ppr)).toBe(0x40);
    expect(apic.read(R.Isr + 0x20)).toBe(0x8000);
  });

  it('is deaf while disabled by software and reads the spurious vector when nothing is there', () => {
    expect(apic.acknowledge()).toBe(0xff);
    apic.write(R.LvtTimer, 0x40);
    apic.write(R.Svr, 0xff);
    expect(apic.read(R.LvtTimer)).toBe(0x1_0040);
    apic.raise(0x40, false);
    expect(apic.interruptPending()).toBe(false);
  });

  it('tells I/O APICs about completed level-triggered vectors only', () => {
    apic.raise(0x40, false);
    apic.acknowledge();
    apic.write(R.Eoi, 0);
    apic.raise(0x50, true);
    apic.acknowledge();
    apic.write(R.Eoi, 0);
    expect(log).toEqual(['eoi 80']);
  });

  it('times once: 1 GHz divided', () => {
    apic.write(R.DivideConfiguration, 0x3); // by 16
    apic.write(R.LvtTimer, 0x40);
    apic.write(R.InitialCount, 1000);
    clock.advanceTo(8000);
    expect(apic.read(R.CurrentCount)).toBe(500);
    clock.advanceTo(15_999);
    expect(apic.interruptPending()).toBe(false);
    clock.advanceTo(16_000);
    expect(apic.acknowledge()).toBe(0x40);
    expect(apic.read(R.CurrentCount)).toBe(0);
    clock.advanceTo(1_000_000);
    apic.write(R.Eoi, 0);
    expect(apic.interruptPending()).toBe(false);
  });

  it('times periodically without drift', () => {
    apic.write(R.DivideConfiguration, 0xb); // by 1
    apic.write(R.LvtTimer, 0x2_0040);
    apic.write(R.InitialCount, 300);
    let ticks = 0;
    for (let ns = 1; ns <= 3000; ns++) {
      clock.advanceTo(ns);
      if (!apic.interruptPending()) continue;
      expect(ns % 300).toBe(0);
      apic.acknowledge();
      apic.write(R.Eoi, 0);
      ticks++;
    }
    expect(ticks).toBe(10);
    apic.write(R.InitialCount, 0);
    clock.advanceTo(10_000);
    expect(apic.interruptPending()).toBe(false);
  });

  it('sends what the ICR says', () => {
    apic.write(R.IcrHigh, 3 << 24);
    apic.write(R.IcrLow, 0x4500);
    apic.write(R.IcrLow, 0x4608);
    apic.write(R.IcrLow, 0xc_00f0);
    expect(
      sent.map((entry) => [entry.message.destination, entry.message.mode, entry.message.vector, entry.shorthand]),
    ).toEqual([
      [3, 5, 0, 0],
      [3, 6, 8, 0],
      [3, 0, 0xf0, 3],
    ]);
    apic.write(R.IcrLow, 0x4_0077); // self
    expect(apic.acknowledge()).toBe(0x77);
  });

  it('records illegal vectors and registers, shown after a write to ESR', () => {
    apic.write(R.IcrLow, 0x4005);
    apic.raise(3, false);
    apic.read(0x40);
    expect(apic.read(R.Esr)).toBe(0);
    apic.write(R.Esr, 0);
    expect(apic.read(R.Esr)).toBe(0xe0);
  });

  it('passes on NMI, INIT and start-up, and LINT1', () => {
    const base = { destination: 0, logical: false, level: false };
    apic.accept({ ...base, mode: 4, vector: 0 });
    apic.accept({ ...base, mode: 5, vector: 0 });
    apic.accept({ ...base, mode: 6, vector: 0x9a });
    apic.write(R.LvtLint1, 0x400);
    apic.setLint(1, true);
    apic.setLint(1, true);
    expect(log).toEqual(['nmi', 'init', 'startup 154', 'nmi']);
  });

  it('accepts the external controller through LINT0 or while disabled', () => {
    expect(apic.acceptsExternalInterrupts()).toBe(false);
    apic.enterVirtualWire();
    expect(apic.acceptsExternalInterrupts()).toBe(true);
    apic.write(R.LvtLint0, 0x1_0700);
    expect(apic.acceptsExternalInterrupts()).toBe(false);
    expect(apic.writeApicBase(0xfee0_0000, 0, false)).toBe(true);
    expect(apic.acceptsExternalInterrupts()).toBe(true);
  });

  it('is x2APIC through MSRs where that is allowed', () => {
    expect(apic.writeApicBase(0xfee0_0c00, 0, false)).toBe(false);
    expect(apic.readX2apicMsr(0x802)).toBe(null);
    expect(apic.writeApicBase(0xfee0_0c00, 0, true)).toBe(true);
    expect(apic.readX2apicMsr(0x80d)).toEqual({ lo: 1, hi: 0 });
    expect(apic.readX2apicMsr(0x831)).toBe(null);
    expect(apic.writeX2apicMsr(0x830, 0x40f1, 7)).toBe(true);
    expect(sent.at(-1)?.message).toMatchObject({ destination: 7, vector: 0xf1 });
    expect(apic.writeX2apicMsr(0x83f, 0x61, 0)).toBe(true);
    expect(apic.acknowledge()).toBe(0x61);
    expect(apic.writeX2apicMsr(0x80b, 1, 0)).toBe(false);
  });

  it('goes on after its state was taken and set', () => {
    apic.write(R.DivideConfiguration, 0xb);
    apic.write(R.LvtTimer, 0x2_0040);
    apic.write(R.InitialCount, 1000);
    apic.raise(0x55, true);
    clock.advanceTo(300);
    const state = apic.getState();
    const copy = create(0);
    copy.setState(structuredClone(state));
    expect(copy.getState()).toEqual(state);
    expect(copy.acknowledge()).toBe(0x55);
    copy.write(R.Eoi, 0);
    expect(log).toEqual(['eoi 85']);
    clock.advanceTo(1000);
    expect(copy.acknowledge()).toBe(0x40);
    expect(() => copy.setState({ ...state, version: 3 as never })).toThrow(/version 3/);
  });
});

describe('routeMessage', () => {
  it('finds receivers physically, logically flat and by cluster, and picks the lowest priority', () => {
    const apics = [0, 1, 2].map((id) => create(id));
    apics.forEach((entry, id) => {
      entry.write(R.Svr, 0x1ff);
      entry.write(R.Ldr, (1 << id) << 24);
    });
    const message = (destination: number, logical: boolean, mode: number, vector: number): InterruptMessage => ({
      destination,
      logical,
      mode,
      vector,
      level: false,
    });
    expect(routeMessage(apics, message(1, false, 0, 0x41))).toBe(true);
    expect(apics.map((entry) => entry.interruptPending())).toEqual([false, true, false]);
    routeMessage(apics, message(0b101, true, 0, 0x42));
    expect(apics.map((entry) => entry.interruptPending())).toEqual([true, true, true]);
    apics[0].write(R.Tpr, 0x20);
    routeMessage(apics, message(0b101, true, 1, 0x99));
    expect(apics.map((entry) => entry.acknowledge())).toEqual([0x42, 0x41, 0x99]);
    expect(routeMessage(apics, message(9, false, 0, 0x43))).toBe(false);
    apics[2].write(R.Dfr, 0);
    apics[2].write(R.Ldr, 0x21 << 24);
    expect(apics[2].matches(0x23, true)).toBe(true);
    expect(apics[2].matches(0x13, true)).toBe(false);
  });
});
