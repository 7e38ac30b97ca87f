// Delivery with everything that can go wrong on the way: serial faults, double fault, shutdown (SDM vol. 3, 6.15).

import { F } from '../layout.ts';
import { ExitCode } from './exit.ts';
import { FAULT, LEAVE, Vector } from './fault.ts';
import { enterHandler } from './interrupt.ts';
import type { SystemParts } from './parts.ts';

/** What raised an event. A #DB of an instruction breakpoint is a 'trap': its RF is pushed as it is (SDM vol. 3, 18.3.1.1).
 * 'softint3' is INT3 or INTO; 'software' is INT n; 'nmi' and 'external' come from outside. */
export type EventKind = 'fault' | 'trap' | 'external' | 'software' | 'softint3' | 'nmi';

/** What deliver() did. Only Shutdown is falsy. */
export const Delivery = {
  Shutdown: 0,
  /** The handler is entered. */
  Done: 1,
  /** An exception on the way is intercepted (or second-level translation failed): F.exit says so; `unfinished` is the event to redo. */
  Exit: 2,
} as const;

/** The event whose delivery an exit interrupted, to be injected again ("IDT-vectoring information"). */
export interface EventRecord {
  valid: boolean;
  vector: number;
  hasError: boolean;
  error: number;
  kind: EventKind;
  instructionLength: number;
}

type FaultClass = 'benign' | 'contributory' | 'page';

/** Table 6-4 of SDM vol. 3. */
function faultClass(vector: number): FaultClass {
  if (vector === Vector.PF) return 'page';
  if (vector === Vector.DE || (vector >= Vector.TS && vector <= Vector.GP)) return 'contributory';
  return 'benign';
}

/** Table 6-5 of SDM vol. 3: does `second` on the way to `first` make a double fault? */
export function isDoubleFault(first: number, second: number): boolean {
  const a = faultClass(first);
  const b = faultClass(second);
  return (a === 'contributory' && b === 'contributory') || (a === 'page' && b !== 'benign');
}

export function createDelivery(parts: SystemParts, unfinished: EventRecord) {
  const { state } = parts;

  return function deliver(
    vector: number,
    hasError: boolean,
    error: number,
    kind: EventKind,
    instructionLength: number,
  ): number {
    unfinished.valid = false;
    for (;;) {
      const software = kind === 'software' || kind === 'softint3';
      state.external = software ? 0 : 1;
      try {
        enterHandler(parts, {
          vector,
          hasError,
          error,
          software,
          returnRip: software ? wrapRip(state.rip + instructionLength) : state.rip,
          setResume: kind === 'fault',
        });
        return Delivery.Done;
      } catch (caught) {
        if (caught !== FAULT && caught !== LEAVE) throw caught;
        const second = state.get32(F.faultVector);
        const intercepted = caught === FAULT && second < 32 && (state.get32(F.interceptExceptions) >>> second) & 1;
        if (caught === LEAVE || intercepted) {
          Object.assign(unfinished, { valid: true, vector, hasError, error, kind, instructionLength });
          if (caught === FAULT) {
            const withError = state.get32(F.faultHasError);
            state.setExit(ExitCode.Exception, second, state.get32(F.faultError), withError, 0);
            state.set32(F.faultVector, 0xffff_ffff);
          }
          return Delivery.Exit;
        }
        state.set32(F.faultVector, 0xffff_ffff);
        const exception = kind === 'fault' || kind === 'trap';
        if (exception && vector === Vector.DF) {
          state.setExit(ExitCode.Shutdown, 0, 0, 0, 0);
          return Delivery.Shutdown;
        }
        if (exception && isDoubleFault(vector, second)) {
          if ((state.get32(F.interceptExceptions) >>> Vector.DF) & 1) {
            state.setExit(ExitCode.Exception, Vector.DF, 0, 1, 0);
            return Delivery.Exit;
          }
          vector = Vector.DF;
          hasError = true;
          error = 0;
        } else {
          vector = second;
          hasError = state.get32(F.faultHasError) !== 0;
          error = state.get32(F.faultError);
        }
        kind = 'fault';
      } finally {
        state.external = 0;
      }
    }
  };

  function wrapRip(rip: number): number {
    return state.in64 ? rip : rip % 0x1_0000_0000;
  }
}
