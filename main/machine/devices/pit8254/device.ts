// The 8254 interval timer with system port B: channel 0 drives IRQ 0, channel 2 is gated and read back through port 0x61,
// which is how kernels calibrate the time stamp counter.
import { type DeviceClock, type ScheduledEvent, nsAtTick, ticksAt } from '../../clock.ts';
import { type IrqLine, type PortDevice, type StatefulDevice, requireVersion } from '../contract.ts';
import { PitChannel } from './channel.ts';
import { PIT_HZ, PitAccess, PitPort, REFRESH_NS, ReadBack, SystemB } from './registers.ts';
import type { PitState } from './state.ts';

export class Pit8254 implements PortDevice, StatefulDevice<PitState> {
  readonly ports = [
    [PitPort.Channel0, 4],
    [PitPort.SystemB, 1],
  ] as const;
  readonly #clock: DeviceClock;
  readonly #irq: IrqLine;
  readonly #channels = [new PitChannel(true), new PitChannel(true), new PitChannel(false)];
  #speaker = false;
  #edge: ScheduledEvent | null = null;

  constructor(clock: DeviceClock, irq: IrqLine) {
    this.#clock = clock;
    this.#irq = irq;
    irq.set(true);
  }

  portRead(port: number): number {
    const tick = this.#tick();
    if (port === PitPort.SystemB) {
      return (
        (this.#channels[2].gate ? SystemB.Gate2 : 0) |
        (this.#speaker ? SystemB.Speaker : 0) |
        (Math.floor(this.#clock.now() / REFRESH_NS) & 1 ? SystemB.Refresh : 0) |
        (this.#channels[2].output(tick) ? SystemB.Output2 : 0)
      );
    }
    if (port === PitPort.Control) return 0xff; // write only
    return this.#channels[port - PitPort.Channel0].read(tick);
  }

  portWrite(port: number, _size: number, value: number): void {
    const tick = this.#tick();
    const byte = value & 0xff;
    if (port === PitPort.SystemB) {
      this.#channels[2].setGate((byte & SystemB.Gate2) !== 0, tick);
      this.#speaker = (byte & SystemB.Speaker) !== 0;
      return;
    }
    if (port === PitPort.Control) {
      this.#control(byte, tick);
      return;
    }
    const index = port - PitPort.Channel0;
    this.#channels[index].write(byte, tick);
    if (index === 0) this.#channel0Changed(tick);
  }

  getState(): PitState {
    return { version: 1, channels: this.#channels.map((channel) => channel.getState()), speaker: this.#speaker };
  }

  setState(state: PitState): void {
    requireVersion('interval timer (8254)', state.version, 1);
    state.channels.forEach((saved, index) => this.#channels[index].setState(saved));
    this.#speaker = state.speaker;
    this.#channel0Changed(this.#tick());
  }

  #tick(): number {
    return ticksAt(this.#clock.now(), PIT_HZ);
  }

  #control(byte: number, tick: number): void {
    const index = byte >> 6;
    if (index === ReadBack.Channel) {
      this.#channels.forEach((channel, number) => {
        if ((byte & (2 << number)) === 0) return;
        if ((byte & ReadBack.NotCount) === 0) channel.latchCount(tick);
        if ((byte & ReadBack.NotStatus) === 0) channel.latchStatus(tick);
      });
      return;
    }
    const access = (byte >> 4) & 3;
    if (access === PitAccess.Latch) {
      this.#channels[index].latchCount(tick);
      return;
    }
    this.#channels[index].control(access, (byte >> 1) & 7, (byte & 1) !== 0);
    if (index === 0) this.#channel0Changed(tick);
  }

  /** Sets IRQ 0 to the output's level and arranges for its next rising edge. */
  #channel0Changed(tick: number): void {
    if (this.#edge) this.#clock.cancel(this.#edge);
    const channel = this.#channels[0];
    this.#irq.set(channel.output(tick));
    const rise = channel.nextRise(tick);
    this.#edge = rise === Infinity ? null : this.#clock.schedule(nsAtTick(rise, PIT_HZ), () => this.#rise(rise));
  }

  #rise(tick: number): void {
    // Only the edge matters to who listens, even when it is seen late and the output is low again.
    this.#irq.set(false);
    this.#irq.set(true);
    this.#channel0Changed(Math.max(tick, this.#tick()));
  }
}
