// What the engine can ask of a host about saving and restoring: arguments and results by name. `id` is the engine's number of the run.

import type { DomainSpec } from '../../../shared/model.ts';
import type { ErrorSentences } from '../../../shared/errors.ts';

/** Where a domain is that was asked to suspend itself. */
export type SuspensionState = { is: 'asked' } | { is: 'suspended' } | { is: 'refused'; why: ErrorSentences };

export interface SavingCalls {
  /** Asks the guest to suspend itself. */
  saveBegin: { args: { id: number; domid: number }; result: void };
  saveState: { args: { id: number }; result: SuspensionState };
  /** The next piece of the stream of a suspended domain; null after the last. `scrollback` is what its console printed before. */
  savePiece: { args: { id: number; scrollback?: Uint8Array }; result: Uint8Array | null };
  /** Over: the domain goes on here, or stays suspended until it is destroyed. Harmless for a run that is not known. */
  saveEnd: { args: { id: number; goOn: boolean }; result: void };
  /** Makes room for a domain that comes from a stream. */
  restoreBegin: {
    args: { id: number; spec: DomainSpec; bits: 32 | 64; uuid: string; paused: boolean };
    result: void;
  };
  /** More bytes of the stream. */
  restoreFeed: { args: { id: number; bytes: Uint8Array }; result: void };
  /** The stream is complete: the domain runs (or is paused). Its number. */
  restoreFinish: { args: { id: number }; result: number };
  /** Nothing of it stays. Harmless for a run that is not known. */
  restoreAbandon: { args: { id: number }; result: void };
}
