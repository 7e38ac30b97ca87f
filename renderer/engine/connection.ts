// From the bridge to a client of the engine's service. The engine may stop and start again: every start is a new generation
// with a new port, and a port of an earlier one is of no use.
import type { BulkheadBridge, EngineState } from '../../shared/bridge.ts';
import { isEnginePortMessage } from '../../shared/bridge.ts';
import { labService } from '../../shared/lab-service.ts';
import type { LabClient } from '../../shared/lab-service.ts';
import { connect, fromDomPort } from '../../shared/rpc.ts';

export interface ConnectionListener {
  state(state: EngineState): void;
  connected(client: LabClient): void;
  disconnected(): void;
}

/**
 * Follows the engine through its generations.
 * @returns how to stop
 */
export function followEngine(bridge: BulkheadBridge, listener: ConnectionListener): () => void {
  let client: LabClient | undefined;
  let asked = -1;

  function drop(): void {
    if (!client) return;
    client.close();
    client = undefined;
    listener.disconnected();
  }

  function onState(state: EngineState): void {
    listener.state(state);
    if (state.phase !== 'running') {
      drop();
      return;
    }
    if (asked === state.generation) return;
    asked = state.generation;
    // When it rejects the engine has ended meanwhile, and its state says so.
    bridge.engine.connect().catch(() => undefined);
  }

  function onMessage(event: MessageEvent): void {
    if (event.source !== window || !isEnginePortMessage(event.data) || event.ports.length !== 1) return;
    drop();
    const opened = connect(labService, fromDomPort(event.ports[0]));
    client = opened;
    listener.connected(opened);
    void opened.closed.then(() => client === opened && drop());
  }

  addEventListener('message', onMessage);
  const stop = bridge.engine.onState(onState);
  void bridge.engine.state().then(onState);
  return () => {
    stop();
    removeEventListener('message', onMessage);
    drop();
  };
}
