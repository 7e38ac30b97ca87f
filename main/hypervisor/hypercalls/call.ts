// What a hypercall handler gets and gives.

import type { Domain } from '../domain.ts';
import type { Host } from '../host.ts';
import type { GuestVcpu } from '../vcpu.ts';

export interface Call {
  readonly v: GuestVcpu;
  readonly d: Domain;
  readonly host: Host;
  /** 64-bit calling convention: longs and pointers are 8 bytes. */
  readonly wide: boolean;
  /** Arguments as unsigned 64-bit (or 32-bit) values. */
  readonly args: readonly bigint[];
}

/** The handler has set every register itself (iret): no result is written. */
export const NO_RESULT = Symbol('no result');
export type Result = number | typeof NO_RESULT;

/** An argument as an unsigned 32-bit number: what a C `unsigned int` parameter keeps. */
export function u32(value: bigint): number {
  return Number(value & 0xffff_ffffn);
}

/** A frame number argument; -1 when it is beyond any machine memory. */
export function frameNumber(value: bigint): number {
  return value > 0xffff_ffffn ? -1 : Number(value);
}
