// The sleep control register of hardware-reduced ACPI (ACPI Specification 6.4, 4.8.3.7): how a PVH guest switches itself off.

import { ShutdownReason } from '../abi/constants.ts';
import type { GuestVcpu } from '../vcpu.ts';

export const SLEEP_CONTROL_PORT = 0xb004;
export const SLEEP_STATUS_PORT = 0xb005;
/** SLP_TYP of S5, as the DSDT's \_S5 says. */
export const SLEEP_TYPE_S5 = 5;
const SLP_EN = 0x20;

/** A write to the sleep control register. */
export function writeSleepControl(v: GuestVcpu, value: number): void {
  if ((value & SLP_EN) === 0 || ((value >> 2) & 7) !== SLEEP_TYPE_S5) return;
  v.domain.shutdown(ShutdownReason.Poweroff);
  v.domain.host.core.requestReturn();
}
