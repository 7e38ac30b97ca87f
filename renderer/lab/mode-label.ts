// How virtualization modes are written on chips and in menus: PV 64, PV 32, PVH, HVM, native.
import type { DomainMode } from '../../shared/model.ts';

/** @param bits width of the guest's kernel; only paravirtual guests are told apart by it */
export function modeLabel(mode: DomainMode, bits: 32 | 64 | null = null): string {
  if (mode === 'native') return 'native';
  if (mode === 'pv' && bits !== null) return `PV ${bits}`;
  return mode.toUpperCase();
}
