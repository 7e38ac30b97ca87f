// A processor's local APIC: accepts interrupt messages, orders them by priority, times and sends interrupts.
// It knows nothing of how it is reached: offsets in the APIC page and x2APIC MSRs both end in read() and write().
import type { DeviceClock } from '../../clock.ts';
import { type MmioDevice, type StatefulDevice, requireVersion } from '../contract.ts';
import type { InterruptMessage, MessageReceiver } from './messages.ts';
import {
  APIC_VERSION,
  ApicBase,
  ApicRegister,
  DeliveryMode,
  Esr,
  Lvt,
  Shorthand,
  Svr,
  X2APIC_MSR_FIRST,
} from './registers.ts';
import type { LocalApicState } from './state.ts';
import { ApicTimer } from './timer.ts';
import { VectorSet } from './vector-set.ts';

/** What a local APIC needs of the world around it. */
export interface ApicConnections {
  /** Sends a message to other APICs (and to this one, when it is named). `self` false leaves the sender out. */
  send(message: InterruptMessage, shorthand: number): void;
  /** A level-triggered vector was completed: I/O APICs look whether it is theirs. */
  endOfInterrupt(vector: number): void;
  nmi(): void;
  init(): void;
  /** Start-up message: begin at real-mode address vector << 12. */
  startup(vector: number): void;
  /** `interruptPending()` may have changed. */
  changed(): void;
}

const LVT_FIRST = ApicRegister.LvtTimer;
const LVT_COUNT = 6;
/** Bits that can be written, per LVT entry from the timer on. */
const LVT_WRITABLE = [0x3_00ff, 0x1_07ff, 0x1_07ff, 0x1_a7ff, 0x1_a7ff, 0x1_00ff] as const;

export class LocalApic implements MmioDevice, MessageReceiver, StatefulDevice<LocalApicState> {
  readonly #connections: ApicConnections;
  readonly #initialId: number;
  readonly #bootstrap: boolean;
  readonly #timer: ApicTimer;
  readonly #isr = new VectorSet();
  readonly #tmr = new VectorSet();
  readonly #irr = new VectorSet();
  readonly #lvt = new Uint32Array(LVT_COUNT);
  #apicBase = 0;
  #id = 0;
  #tpr = 0;
  #ldr = 0;
  #dfr = 0xffff_ffff;
  #svr = 0xff;
  #esr = 0;
  #esrLatched = 0;
  #icrLow = 0;
  #icrHigh = 0;
  #lintLevels = 0;

  /** @param bootstrap this is the bootstrap processor's */
  constructor(id: number, bootstrap: boolean, clock: DeviceClock, connections: ApicConnections) {
    this.#initialId = id;
    this.#bootstrap = bootstrap;
    this.#connections = connections;
    this.#timer = new ApicTimer(clock, () => this.#fireLvt(ApicRegister.LvtTimer));
    this.powerOn();
  }

  /** The state after power-on or RESET. */
  powerOn(): void {
    this.#apicBase = ApicBase.Address | ApicBase.Enable | (this.#bootstrap ? ApicBase.Bsp : 0);
    this.#id = this.#initialId;
    this.initReset();
  }

  /** The state after INIT: everything but the base MSR and the ID (SDM volume 3, "Local APIC State After INIT"). */
  initReset(): void {
    this.#tpr = 0;
    this.#ldr = this.x2apic ? this.#x2apicLogicalId() : 0;
    this.#dfr = 0xffff_ffff;
    this.#svr = 0xff;
    this.#esr = 0;
    this.#esrLatched = 0;
    this.#icrLow = 0;
    this.#icrHigh = 0;
    this.#isr.clear();
    this.#tmr.clear();
    this.#irr.clear();
    this.#lvt.fill(Lvt.Masked);
    this.#timer.reset();
    this.#connections.changed();
  }

  /** What firmware leaves behind on a PC: virtual wire mode, LINT0 = ExtINT and LINT1 = NMI on the bootstrap processor. */
  enterVirtualWire(): void {
    this.write(ApicRegister.Svr, Svr.SoftwareEnable | 0xff);
    if (this.#bootstrap) this.write(ApicRegister.LvtLint0, DeliveryMode.ExtInt << 8);
    this.write(ApicRegister.LvtLint1, DeliveryMode.Nmi << 8);
  }

  get id(): number {
    return this.#id;
  }

  get enabled(): boolean {
    return (this.#apicBase & ApicBase.Enable) !== 0;
  }

  get x2apic(): boolean {
    return (this.#apicBase & ApicBase.X2Apic) !== 0;
  }

  get softwareEnabled(): boolean {
    return this.enabled && (this.#svr & Svr.SoftwareEnable) !== 0;
  }

  /** IA32_APIC_BASE, low half (the high half is 0). */
  get apicBase(): number {
    return this.#apicBase >>> 0;
  }

  /** Sets IA32_APIC_BASE. Returns false (the guest gets #GP) for reserved bits and forbidden transitions. */
  writeApicBase(low: number, high: number, allowX2apic: boolean): boolean {
    if (high !== 0 || low & 0x2ff) return false;
    const x2 = (low & ApicBase.X2Apic) !== 0;
    const enable = (low & ApicBase.Enable) !== 0;
    if (x2 && (!enable || !allowX2apic)) return false;
    if (this.x2apic && enable && !x2) return false; // x2APIC to xAPIC is only possible through disabled
    if (!this.enabled && x2) return false;
    const wasEnabled = this.enabled;
    this.#apicBase = (low & ~ApicBase.Bsp) | (this.#bootstrap ? ApicBase.Bsp : 0);
    if (wasEnabled && !enable) this.initReset();
    if (x2) this.#ldr = this.#x2apicLogicalId();
    this.#connections.changed();
    return true;
  }

  /** Task priority as CR8 shows it (bits 7-4). */
  get cr8(): number {
    return this.#tpr >> 4;
  }

  set cr8(value: number) {
    this.#tpr = (value & 15) << 4;
    this.#connections.changed();
  }

  get processorPriority(): number {
    const service = this.#isr.highest();
    const serviceClass = service < 0 ? 0 : service & 0xf0;
    return (this.#tpr & 0xf0) >= serviceClass ? this.#tpr : serviceClass;
  }

  matches(destination: number, logical: boolean): boolean {
    if (!this.enabled) return false;
    if (this.x2apic) {
      if (destination === 0xffff_ffff || destination === 0xff) return true;
      if (!logical) return destination === this.#id;
      return destination >>> 16 === this.#ldr >>> 16 && (destination & this.#ldr & 0xffff) !== 0;
    }
    if (!logical) return destination === 0xff || destination === this.#id;
    const own = this.#ldr >>> 24;
    const flat = this.#dfr >>> 28 === 0xf;
    if (flat) return (own & destination) !== 0;
    if (destination === 0xff) return true;
    return own >> 4 === destination >> 4 && (own & destination & 15) !== 0;
  }

  accept(message: InterruptMessage): void {
    switch (message.mode) {
      case DeliveryMode.Fixed:
      case DeliveryMode.LowestPriority:
        this.raise(message.vector, message.level);
        break;
      case DeliveryMode.Nmi:
        this.#connections.nmi();
        break;
      case DeliveryMode.Init:
        this.#connections.init();
        break;
      case DeliveryMode.Startup:
        this.#connections.startup(message.vector);
        break;
      default: // SMI: there is no system management mode here; ExtINT arrives through LINT0
        break;
    }
  }

  /** A fixed interrupt arrives. */
  raise(vector: number, level: boolean): void {
    if (!this.softwareEnabled) return;
    if (vector < 16) {
      this.#error(Esr.ReceiveIllegalVector);
      return;
    }
    this.#irr.add(vector);
    if (level) this.#tmr.add(vector);
    else this.#tmr.delete(vector);
    this.#connections.changed();
  }

  /** Is there an interrupt that has priority over what is in service and over the task priority? */
  interruptPending(): boolean {
    if (!this.softwareEnabled) return false;
    const vector = this.#irr.highest();
    return vector >= 0 && (vector & 0xf0) > (this.processorPriority & 0xf0);
  }

  /** The processor takes the interrupt: returns its vector, or the spurious vector when it has gone. */
  acknowledge(): number {
    if (!this.interruptPending()) return this.#svr & 0xff;
    const vector = this.#irr.highest();
    this.#irr.delete(vector);
    this.#isr.add(vector);
    this.#connections.changed();
    return vector;
  }

  /** Would the external interrupt controller's INTR reach this processor now (virtual wire through LINT0, or APIC off)? */
  acceptsExternalInterrupts(): boolean {
    if (!this.enabled) return this.#bootstrap;
    const lint0 = this.#lvt[3];
    return (lint0 & Lvt.Masked) === 0 && (lint0 & Lvt.DeliveryMask) >> 8 === DeliveryMode.ExtInt;
  }

  /** Drives a local interrupt pin (0 or 1). ExtINT is handled by acceptsExternalInterrupts. */
  setLint(pin: 0 | 1, level: boolean): void {
    const bit = 1 << pin;
    const rising = level && (this.#lintLevels & bit) === 0;
    this.#lintLevels = level ? this.#lintLevels | bit : this.#lintLevels & ~bit;
    if (rising) this.#fireLvt(pin === 0 ? ApicRegister.LvtLint0 : ApicRegister.LvtLint1);
  }

  mmioRead(offset: number, size: number): number {
    if (size !== 4 || offset & 3) return this.read(offset & 0xff0) >>> (8 * (offset & 3));
    return this.read(offset);
  }

  mmioWrite(offset: number, size: number, value: number): void {
    // Only aligned 32-bit writes are defined.
    if (size === 4 && (offset & 15) === 0) this.write(offset, value >>> 0);
  }

  /** Reads the register at an offset of the APIC page. */
  read(offset: number): number {
    const register = offset & 0xff0;
    if (register >= ApicRegister.Isr && register < ApicRegister.Esr) {
      const set = register < ApicRegister.Tmr ? this.#isr : register < ApicRegister.Irr ? this.#tmr : this.#irr;
      return set.word((register >> 4) & 7);
    }
    if (register >= LVT_FIRST && register <= ApicRegister.LvtError) return this.#lvt[(register - LVT_FIRST) >> 4];
    switch (register) {
      case ApicRegister.Id:
        return this.x2apic ? this.#id : (this.#id << 24) >>> 0;
      case ApicRegister.Version:
        return APIC_VERSION;
      case ApicRegister.Tpr:
        return this.#tpr;
      case ApicRegister.Apr:
        return 0;
      case ApicRegister.Ppr:
        return this.processorPriority;
      case ApicRegister.Ldr:
        return this.#ldr;
      case ApicRegister.Dfr:
        return this.#dfr;
      case ApicRegister.Svr:
        return this.#svr;
      case ApicRegister.Esr:
        return this.#esrLatched;
      case ApicRegister.IcrLow:
        return this.#icrLow;
      case ApicRegister.IcrHigh:
        return this.#icrHigh;
      case ApicRegister.InitialCount:
        return this.#timer.initialCount;
      case ApicRegister.CurrentCount:
        return this.#timer.currentCount();
      case ApicRegister.DivideConfiguration:
        return this.#timer.divideConfiguration;
      case ApicRegister.Eoi:
      case ApicRegister.Rrd:
        return 0;
      default:
        this.#error(Esr.IllegalRegister);
        return 0;
    }
  }

  /** Writes the register at an offset of the APIC page. */
  write(offset: number, value: number): void {
    const register = offset & 0xff0;
    if (register >= LVT_FIRST && register <= ApicRegister.LvtError) {
      this.#writeLvt((register - LVT_FIRST) >> 4, value);
      return;
    }
    switch (register) {
      case ApicRegister.Id:
        if (!this.x2apic) this.#id = value >>> 24;
        break;
      case ApicRegister.Tpr:
        this.#tpr = value & 0xff;
        this.#connections.changed();
        break;
      case ApicRegister.Eoi:
        this.#endOfInterrupt();
        break;
      case ApicRegister.Ldr:
        if (!this.x2apic) this.#ldr = (value & 0xff00_0000) >>> 0;
        break;
      case ApicRegister.Dfr:
        this.#dfr = (value | 0x0fff_ffff) >>> 0;
        break;
      case ApicRegister.Svr:
        this.#svr = value & Svr.Writable;
        if ((value & Svr.SoftwareEnable) === 0) for (let i = 0; i < LVT_COUNT; i++) this.#lvt[i] |= Lvt.Masked;
        this.#connections.changed();
        break;
      case ApicRegister.Esr:
        this.#esrLatched = this.#esr;
        this.#esr = 0;
        break;
      case ApicRegister.IcrLow:
        this.#icrLow = value & 0xf_cfff & ~Lvt.Pending;
        this.#sendIpi();
        break;
      case ApicRegister.IcrHigh:
        this.#icrHigh = this.x2apic ? value : (value & 0xff00_0000) >>> 0;
        break;
      case ApicRegister.InitialCount:
        this.#timer.writeInitialCount(value);
        break;
      case ApicRegister.DivideConfiguration:
        this.#timer.writeDivideConfiguration(value);
        break;
      case ApicRegister.Version:
      case ApicRegister.Apr:
      case ApicRegister.Ppr:
      case ApicRegister.Rrd:
      case ApicRegister.CurrentCount:
        break; // read only
      default:
        if (register < ApicRegister.Isr || register >= ApicRegister.Esr) this.#error(Esr.IllegalRegister);
    }
  }

  /** RDMSR of an x2APIC register; null means #GP. */
  readX2apicMsr(msr: number): { lo: number; hi: number } | null {
    if (!this.x2apic) return null;
    const register = (msr - X2APIC_MSR_FIRST) << 4;
    if (register === ApicRegister.IcrHigh || register === ApicRegister.Dfr || register === ApicRegister.Eoi)
      return null;
    if (register === ApicRegister.SelfIpi || !isKnown(register)) return null;
    return { lo: this.read(register) >>> 0, hi: register === ApicRegister.IcrLow ? this.#icrHigh >>> 0 : 0 };
  }

  /** WRMSR of an x2APIC register; false means #GP. */
  writeX2apicMsr(msr: number, lo: number, hi: number): boolean {
    if (!this.x2apic) return false;
    const register = (msr - X2APIC_MSR_FIRST) << 4;
    if (register === ApicRegister.SelfIpi) {
      this.raise(lo & 0xff, false);
      return true;
    }
    if (register === ApicRegister.IcrHigh || register === ApicRegister.Dfr || !isKnown(register)) return false;
    if (register === ApicRegister.Id || register === ApicRegister.Version || register === ApicRegister.Ldr)
      return false;
    if (register !== ApicRegister.IcrLow && hi !== 0) return false;
    if ((register === ApicRegister.Eoi || register === ApicRegister.Esr) && lo !== 0) return false;
    if (register === ApicRegister.IcrLow) this.#icrHigh = hi >>> 0;
    this.write(register, lo >>> 0);
    return true;
  }

  getState(): LocalApicState {
    return {
      version: 1,
      apicBase: this.#apicBase,
      id: this.#id,
      tpr: this.#tpr,
      ldr: this.#ldr,
      dfr: this.#dfr,
      svr: this.#svr,
      isr: this.#isr.toWords(),
      tmr: this.#tmr.toWords(),
      irr: this.#irr.toWords(),
      esr: this.#esr,
      esrLatched: this.#esrLatched,
      icrLow: this.#icrLow,
      icrHigh: this.#icrHigh,
      lvt: [...this.#lvt],
      lintLevels: this.#lintLevels,
      initialCount: this.#timer.initialCount,
      divide: this.#timer.divideConfiguration,
      timerStart: this.#timer.start,
      timerRunning: this.#timer.running,
    };
  }

  setState(state: LocalApicState): void {
    requireVersion('local APIC', state.version, 1);
    this.#apicBase = state.apicBase;
    this.#id = state.id;
    this.#tpr = state.tpr;
    this.#ldr = state.ldr;
    this.#dfr = state.dfr;
    this.#svr = state.svr;
    this.#isr.load(state.isr);
    this.#tmr.load(state.tmr);
    this.#irr.load(state.irr);
    this.#esr = state.esr;
    this.#esrLatched = state.esrLatched;
    this.#icrLow = state.icrLow;
    this.#icrHigh = state.icrHigh;
    this.#lvt.set(state.lvt);
    this.#lintLevels = state.lintLevels;
    const periodic = (this.#lvt[0] & Lvt.TimerModeMask) === Lvt.TimerPeriodic;
    this.#timer.restore(state.initialCount, state.divide, periodic, state.timerStart, state.timerRunning);
    this.#connections.changed();
  }

  #x2apicLogicalId(): number {
    return (((this.#id >> 4) << 16) | (1 << (this.#id & 15))) >>> 0;
  }

  #writeLvt(index: number, value: number): void {
    let entry = value & LVT_WRITABLE[index];
    if ((this.#svr & Svr.SoftwareEnable) === 0) entry |= Lvt.Masked;
    this.#lvt[index] = entry;
    if (index === 0) this.#timer.setPeriodic((entry & Lvt.TimerModeMask) === Lvt.TimerPeriodic);
    this.#connections.changed();
  }

  #fireLvt(register: number): void {
    const entry = this.#lvt[(register - LVT_FIRST) >> 4];
    if (entry & Lvt.Masked || !this.enabled) return;
    const mode = register === ApicRegister.LvtTimer || register === ApicRegister.LvtError ? 0 : (entry >> 8) & 7;
    if (mode === DeliveryMode.ExtInt) return;
    this.accept({ destination: this.#id, logical: false, mode, vector: entry & 0xff, level: false });
  }

  #endOfInterrupt(): void {
    const vector = this.#isr.highest();
    if (vector < 0) return;
    this.#isr.delete(vector);
    if (this.#tmr.has(vector)) this.#connections.endOfInterrupt(vector);
    this.#connections.changed();
  }

  #sendIpi(): void {
    const low = this.#icrLow;
    const mode = (low >> 8) & 7;
    const level = (low & 0x8000) !== 0;
    const assert = (low & 0x4000) !== 0;
    // INIT level de-assert only synchronised arbitration IDs; it does nothing on this APIC.
    if (mode === DeliveryMode.Init && level && !assert) return;
    const vector = low & 0xff;
    if ((mode === DeliveryMode.Fixed || mode === DeliveryMode.LowestPriority) && vector < 16) {
      this.#error(Esr.SendIllegalVector);
      return;
    }
    const shorthand = (low >> 18) & 3;
    if (shorthand === Shorthand.Self) {
      this.accept({ destination: this.#id, logical: false, mode: DeliveryMode.Fixed, vector, level: false });
      return;
    }
    const destination = this.x2apic ? this.#icrHigh >>> 0 : this.#icrHigh >>> 24;
    this.#connections.send({ destination, logical: (low & 0x800) !== 0, mode, vector, level: false }, shorthand);
  }

  #error(bit: number): void {
    this.#esr |= bit;
    // The error interrupt itself cannot cause another one.
    const entry = this.#lvt[(ApicRegister.LvtError - LVT_FIRST) >> 4];
    if ((entry & Lvt.Masked) === 0 && (entry & 0xff) >= 16) this.raise(entry & 0xff, false);
  }
}

function isKnown(register: number): boolean {
  if (register >= ApicRegister.Isr && register < ApicRegister.Esr) return true;
  return (
    (Object.values(ApicRegister) as number[]).includes(register) &&
    register !== ApicRegister.Apr &&
    register !== ApicRegister.Rrd
  );
}
