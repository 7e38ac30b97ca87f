// The board of a PC: its devices, what answers at which port and address, and how interrupts reach the processors.
// Invariant: everything that happens here follows from the clock and the processors' accesses; nothing is asked of the host.
import type { DeviceClock } from '../clock.ts';
import { AcpiPm } from '../devices/acpi-pm/device.ts';
import { SCI_IRQ, PM_BASE } from '../devices/acpi-pm/registers.ts';
import type { AcpiPmState } from '../devices/acpi-pm/state.ts';
import { CmosRtc } from '../devices/cmos-rtc/device.ts';
import type { CmosState } from '../devices/cmos-rtc/state.ts';
import { type IrqLine, type PortDevice, allOnes, requireVersion } from '../devices/contract.ts';
import { IoApic } from '../devices/io-apic/device.ts';
import type { IoApicState } from '../devices/io-apic/state.ts';
import { LocalApic } from '../devices/local-apic/device.ts';
import { type InterruptMessage, routeMessage } from '../devices/local-apic/messages.ts';
import {
  ApicBase,
  ApicRegister,
  Shorthand,
  X2APIC_MSR_FIRST,
  X2APIC_MSR_LAST,
} from '../devices/local-apic/registers.ts';
import type { LocalApicState } from '../devices/local-apic/state.ts';
import { chipsetFunctions } from '../devices/pci-host/chipset.ts';
import { PciHost } from '../devices/pci-host/device.ts';
import type { PciHostState } from '../devices/pci-host/state.ts';
import { Pic8259 } from '../devices/pic8259/device.ts';
import type { PicState } from '../devices/pic8259/state.ts';
import { Pit8254 } from '../devices/pit8254/device.ts';
import type { PitState } from '../devices/pit8254/state.ts';
import { Ps2Controller } from '../devices/ps2/device.ts';
import type { Ps2State } from '../devices/ps2/state.ts';
import { SystemControl } from '../devices/system-control/device.ts';
import type { SystemControlState } from '../devices/system-control/state.ts';
import { Uart16550 } from '../devices/uart16550/device.ts';
import type { UartState } from '../devices/uart16550/state.ts';
import { VgaText } from '../devices/vga-text/device.ts';
import { VGA_WINDOW, VGA_WINDOW_BYTES } from '../devices/vga-text/registers.ts';
import type { VgaTextState } from '../devices/vga-text/state.ts';
import { PhysicalAddress } from './memory-map.ts';

/** What the board tells the machine it is in. `vcpu` is an index, which is also the APIC ID. */
export interface BoardEvents {
  /** The serial port sent a byte. */
  serialOutput(byte: number): void;
  /** Whether this processor has an interrupt to take may have changed. */
  interruptsChanged(vcpu: number): void;
  nmi(vcpu: number): void;
  init(vcpu: number): void;
  startup(vcpu: number, vector: number): void;
  powerOff(): void;
  reset(): void;
}

export interface BoardState {
  readonly version: 1;
  readonly intr: boolean;
  readonly acpiPm: AcpiPmState;
  readonly cmos: CmosState;
  readonly ioApic: IoApicState;
  readonly localApics: readonly LocalApicState[];
  readonly pciHost: PciHostState;
  readonly pic: PicState;
  readonly pit: PitState;
  readonly ps2: Ps2State;
  readonly systemControl: SystemControlState;
  readonly uart: UartState;
  readonly vga: VgaTextState;
}

const COM1 = 0x3f8;
const APIC_PAGE_MASK = 0xffff_f000;
/** Task priority as an x2APIC MSR: CR8 arrives as an access to it even when the APIC is not in x2APIC mode. */
const TPR_MSR = X2APIC_MSR_FIRST + (ApicRegister.Tpr >> 4);

export class Board {
  readonly serial: Uart16550;
  readonly ps2: Ps2Controller;
  readonly vga: VgaText;
  readonly power: AcpiPm;
  readonly systemControl: SystemControl;
  readonly localApics: readonly LocalApic[];
  readonly #pic: Pic8259;
  readonly #pit: Pit8254;
  readonly #ioApic: IoApic;
  readonly #rtc: CmosRtc;
  readonly #pci: PciHost;
  readonly #portDevices: (PortDevice | undefined)[] = new Array<PortDevice | undefined>(0x1_0000);
  /** The 8259 pair's INTR output. */
  #intr = false;
  /** The processor whose accesses arrive now: it sees its own local APIC. */
  currentVcpu = 0;

  /**
   * @param ramBytes size of memory, for the memory-size bytes in CMOS
   * @param epochSeconds Unix time at virtual time 0
   */
  constructor(clock: DeviceClock, vcpus: number, ramBytes: number, epochSeconds: number, events: BoardEvents) {
    this.localApics = Array.from({ length: vcpus }, (_, index) => this.#createLocalApic(index, clock, events));
    this.#ioApic = new IoApic((message) => this.#route(message));
    this.#pic = new Pic8259({
      set: (level) => {
        if (level === this.#intr) return;
        this.#intr = level;
        for (let index = 0; index < vcpus; index++) events.interruptsChanged(index);
      },
    });
    const power = { powerOff: () => events.powerOff(), reset: () => events.reset() };
    this.serial = new Uart16550(COM1, clock, this.#irq(4), (byte) => events.serialOutput(byte));
    this.ps2 = new Ps2Controller(this.#irq(1), this.#irq(12), power.reset);
    this.vga = new VgaText(clock);
    this.power = new AcpiPm(clock, this.#irq(SCI_IRQ), power);
    this.systemControl = new SystemControl(power.reset);
    this.#pit = new Pit8254(clock, this.#irq(0));
    this.#rtc = new CmosRtc(clock, this.#irq(8), epochSeconds, ramBytes);
    this.#pci = new PciHost(chipsetFunctions(PM_BASE));
    // Later devices win: the reset register lies inside the PCI host bridge's ports.
    for (const device of [
      this.#pic,
      this.#pit,
      this.#rtc,
      this.ps2,
      this.serial,
      this.vga,
      this.systemControl,
      this.#pci,
      this.power,
    ] satisfies PortDevice[]) {
      for (const [first, count] of device.ports) this.#portDevices.fill(device, first, first + count);
    }
  }

  ioRead(port: number, size: number): number {
    const device = this.#portDevices[port];
    if (size === 1) return device === undefined ? 0xff : device.portRead(port, 1) & 0xff;
    if (device?.wide) return device.portRead(port, size) >>> 0;
    let value = 0;
    for (let index = 0; index < size; index++) value |= this.ioRead((port + index) & 0xffff, 1) << (8 * index);
    return value >>> 0;
  }

  ioWrite(port: number, size: number, value: number): void {
    const device = this.#portDevices[port];
    if (size === 1 || device?.wide) {
      device?.portWrite(port, size, value >>> 0);
      return;
    }
    for (let index = 0; index < size; index++) this.ioWrite((port + index) & 0xffff, 1, (value >>> (8 * index)) & 0xff);
  }

  mmioRead(address: number, size: number): number {
    const apic = this.#apicAt(address);
    if (apic !== null) return apic.mmioRead(address & 0xfff, size) >>> 0;
    if (address >= VGA_WINDOW && address < VGA_WINDOW + VGA_WINDOW_BYTES)
      return this.vga.mmioRead(address - VGA_WINDOW, size);
    if (address >= PhysicalAddress.IoApic && address < PhysicalAddress.IoApic + 0x1000)
      return this.#ioApic.mmioRead(address - PhysicalAddress.IoApic) >>> 0;
    return allOnes(size);
  }

  mmioWrite(address: number, size: number, value: number): void {
    const apic = this.#apicAt(address);
    if (apic !== null) apic.mmioWrite(address & 0xfff, size, value);
    else if (address >= VGA_WINDOW && address < VGA_WINDOW + VGA_WINDOW_BYTES)
      this.vga.mmioWrite(address - VGA_WINDOW, size, value);
    else if (address >= PhysicalAddress.IoApic && address < PhysicalAddress.IoApic + 0x1000)
      this.#ioApic.mmioWrite(address - PhysicalAddress.IoApic, size, value);
  }

  /** MSRs that belong to the APIC; null for all others (the processor raises #GP). */
  readMsr(vcpu: number, msr: number): { lo: number; hi: number } | null {
    const apic = this.localApics[vcpu];
    if (msr === ApicBase.Msr) return { lo: apic.apicBase, hi: 0 };
    if (msr === TPR_MSR) return { lo: apic.read(ApicRegister.Tpr), hi: 0 };
    if (msr >= X2APIC_MSR_FIRST && msr <= X2APIC_MSR_LAST) return apic.readX2apicMsr(msr);
    return null;
  }

  writeMsr(vcpu: number, msr: number, lo: number, hi: number): boolean {
    const apic = this.localApics[vcpu];
    if (msr === ApicBase.Msr) return apic.writeApicBase(lo, hi, false);
    if (msr === TPR_MSR) {
      apic.write(ApicRegister.Tpr, lo);
      return true;
    }
    if (msr >= X2APIC_MSR_FIRST && msr <= X2APIC_MSR_LAST) return apic.writeX2apicMsr(msr, lo, hi);
    return false;
  }

  /** Would this processor take an interrupt now, if its interrupt flag allows? */
  interruptPending(vcpu: number): boolean {
    const apic = this.localApics[vcpu];
    return (this.#intr && apic.acceptsExternalInterrupts()) || apic.interruptPending();
  }

  /** The processor takes an interrupt; returns its vector. */
  acknowledgeInterrupt(vcpu: number): number {
    const apic = this.localApics[vcpu];
    if (this.#intr && apic.acceptsExternalInterrupts()) return this.#pic.acknowledge();
    return apic.acknowledge();
  }

  /** The state firmware would leave: interrupt controllers in virtual wire mode, the 8259 pair at vectors 0x08 and 0x70. */
  initializeLikeFirmware(): void {
    for (const apic of this.localApics) apic.enterVirtualWire();
    const words: [number, number][] = [
      [0x20, 0x11],
      [0x21, 0x08],
      [0x21, 0x04],
      [0x21, 0x01],
      [0xa0, 0x11],
      [0xa1, 0x70],
      [0xa1, 0x02],
      [0xa1, 0x01],
      // Everything masked until the kernel decides.
      [0x21, 0xff],
      [0xa1, 0xff],
      // SCI is level triggered.
      [0x4d1, 1 << (SCI_IRQ - 8)],
    ];
    for (const [port, value] of words) this.ioWrite(port, 1, value);
  }

  getState(): BoardState {
    return {
      version: 1,
      intr: this.#intr,
      acpiPm: this.power.getState(),
      cmos: this.#rtc.getState(),
      ioApic: this.#ioApic.getState(),
      localApics: this.localApics.map((apic) => apic.getState()),
      pciHost: this.#pci.getState(),
      pic: this.#pic.getState(),
      pit: this.#pit.getState(),
      ps2: this.ps2.getState(),
      systemControl: this.systemControl.getState(),
      uart: this.serial.getState(),
      vga: this.vga.getState(),
    };
  }

  /** Devices first, interrupt controllers last: what the devices' lines do meanwhile is overwritten by the saved state. */
  setState(state: BoardState): void {
    requireVersion('board', state.version, 1);
    this.power.setState(state.acpiPm);
    this.#rtc.setState(state.cmos);
    this.#pci.setState(state.pciHost);
    this.#pit.setState(state.pit);
    this.ps2.setState(state.ps2);
    this.systemControl.setState(state.systemControl);
    this.serial.setState(state.uart);
    this.vga.setState(state.vga);
    this.#pic.setState(state.pic);
    this.#ioApic.setState(state.ioApic);
    state.localApics.forEach((saved, index) => this.localApics[index].setState(saved));
    this.#intr = state.intr;
  }

  #createLocalApic(index: number, clock: DeviceClock, events: BoardEvents): LocalApic {
    return new LocalApic(index, index === 0, clock, {
      send: (message, shorthand) => this.#sendIpi(index, message, shorthand),
      endOfInterrupt: (vector) => this.#ioApic.endOfInterrupt(vector),
      nmi: () => events.nmi(index),
      init: () => events.init(index),
      startup: (vector) => events.startup(index, vector),
      changed: () => events.interruptsChanged(index),
    });
  }

  /** An ISA interrupt goes to the 8259 pair and to the I/O APIC; the timer's is on pin 2 there. */
  #irq(line: number): IrqLine {
    const pin = line === 0 ? 2 : line;
    return {
      set: (level) => {
        this.#pic.setLine(line, level);
        this.#ioApic.setLine(pin, level);
      },
    };
  }

  #route(message: InterruptMessage): void {
    routeMessage(this.localApics, message);
  }

  #sendIpi(sender: number, message: InterruptMessage, shorthand: number): void {
    if (shorthand === Shorthand.None) {
      this.#route(message);
      return;
    }
    this.localApics.forEach((apic, index) => {
      if (index !== sender || shorthand === Shorthand.All) apic.accept(message);
    });
  }

  #apicAt(address: number): LocalApic | null {
    const apic = this.localApics[this.currentVcpu];
    if (!apic.enabled || apic.x2apic) return null;
    return (address & APIC_PAGE_MASK) >>> 0 === (apic.apicBase & APIC_PAGE_MASK) >>> 0 && address < 0x1_0000_0000
      ? apic
      : null;
  }
}
