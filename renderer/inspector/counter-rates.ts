// How fast a device's counters grow, from two reports of it: events or bytes per second of lab time.
import type { DeviceReport } from '../../shared/inspection-service.ts';

export interface TimedReports {
  /** Lab time in ns at which they were asked for. */
  readonly at: number;
  readonly devices: readonly DeviceReport[];
}

/**
 * @returns per second of lab time, by "<device id> <counter>". A device that was not there before, or whose counters went back
 * (it was reconnected), has no rate.
 */
export function counterRates(before: TimedReports | undefined, now: TimedReports | undefined): Map<string, number> {
  const rates = new Map<string, number>();
  if (!before || !now || now.at <= before.at) return rates;
  const seconds = (now.at - before.at) / 1e9;
  for (const device of now.devices) {
    const old = before.devices.find((entry) => entry.id === device.id);
    if (!old) continue;
    for (const counter of device.counters) {
      const was = old.counters.find((entry) => entry.label === counter.label);
      if (was && counter.value >= was.value)
        rates.set(`${device.id} ${counter.label}`, (counter.value - was.value) / seconds);
    }
  }
  return rates;
}
