// What the engine can ask of a host's ends of migrations: arguments and results by name. `id` is the number of the run.

import type { MigrationPolicy } from '../../../shared/migration-service.ts';
import type { DomainSpec } from '../../../shared/model.ts';
import type { Chunk, SenderReport } from './sender.ts';

export interface MigrationCalls {
  /** Source: begins to send. `latencyNs`: one way over the link, for predictions; `copied`: positions of the disks that go along. */
  migrationSend: {
    args: { id: number; domid: number; policy: MigrationPolicy; latencyNs: number; copied: number[] };
    result: SenderReport;
  };
  /** Source: the link carried so many bytes per ns of this run from `from` to `to` (virtual ns). */
  migrationTurn: {
    args: { id: number; from: number; to: number; bytesPerNs: number };
    result: { chunks: Chunk[]; report: SenderReport };
  };
  /** Source: no live round after this one. False when the live rounds have ended already. */
  migrationStopLive: { args: { id: number }; result: boolean };
  /** Source: the target has the domain; here it ends. */
  migrationRelease: { args: { id: number }; result: void };
  /** Source: the domain stays here and runs on. */
  migrationRollBack: { args: { id: number }; result: void };
  /** Target: expects a domain. The images of copied disks exist and are written. */
  migrationReceive: { args: { id: number; name: string; spec: DomainSpec; copied: number[] }; result: void };
  /** Target: bytes that arrived, in order. True when the domain is complete. */
  migrationFeed: { args: { id: number; pieces: Uint8Array<ArrayBuffer>[] }; result: boolean };
  /** Target: it runs here from now on. Its number here. */
  migrationActivate: { args: { id: number }; result: number };
  /** Target: nothing of it stays here. */
  migrationAbandon: { args: { id: number }; result: void };
}
