// What verbs need from the window they act in.
import type { BulkheadBridge } from '../../shared/bridge.ts';
import type { CommandId } from '../../shared/commands.ts';

export interface VerbContext {
  readonly bridge: BulkheadBridge;
  /** Printed shortcut of a command, or empty. */
  readonly key: (id: CommandId) => string;
  readonly enterConsole: () => void;
}
