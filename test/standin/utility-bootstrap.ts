/**
 * First code of a utility process: gives it `process.parentPort`, then runs the module it was forked for.
 */
import { EventEmitter } from 'node:events';
import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { partnerOf, PortRegistry, type PortMessage } from './message-ports.ts';
import { decodeClone, encodeClone } from './page/clone-codec.ts';
import { refuseUnknown } from './refuse-unknown.ts';
import type { UtilityFrame } from './utility-process.ts';

const [modulePath, ...args] = process.argv.slice(2) as [string, ...string[]];
const send = (frame: UtilityFrame): void => {
  if (process.connected) process.send?.(frame);
};

const ports = new PortRegistry({
  route: (endpoint, message) => {
    // What is posted to an endpoint elsewhere is told to the main process as posted on its partner here.
    send({ op: 'port', id: partnerOf(endpoint), message });
  },
  routeClose: (endpoint) => {
    send({ op: 'port-close', id: partnerOf(endpoint) });
  },
});

const parentPort = new (class ParentPort extends EventEmitter<{ message: [{ data: unknown; ports: unknown[] }] }> {
  /** Electron's ParentPort takes no transfer list. */
  postMessage(message: unknown): void {
    send({ op: 'message', message: { data: encodeClone(message), ports: [] } });
  }
})();

process.on('message', (frame: UtilityFrame) => {
  if (frame.op === 'message') {
    ports.expect(frame.message.ports);
    receive(frame.message);
  } else if (frame.op === 'port') ports.send(frame.id, frame.message);
  else ports.sendClose(frame.id);
});
// Electron ends utility processes with the app; a main process that was killed cannot ask.
process.on('disconnect', () => {
  process.exit(0);
});

// A utility process has no `electron` module that this app may use.
registerHooks({
  resolve: (specifier, context, next) => {
    if (specifier === 'electron')
      throw new Error('The engine must not import electron: utility processes have almost nothing of it.');
    return next(specifier, context);
  },
});

const early: PortMessage[] = [];
let loaded = false;
Object.defineProperty(process, 'parentPort', { value: refuseUnknown('process.parentPort', parentPort) });
Object.defineProperty(process, 'type', { value: 'utility' });
process.argv = [process.argv[0] as string, modulePath, ...args];
await import(pathToFileURL(modulePath).href);
loaded = true;
early.splice(0).forEach(receive);

function receive(message: PortMessage): void {
  // Messages wait for the entry's listeners, as in Electron.
  if (!loaded) {
    early.push(message);
    return;
  }
  const arrived = message.ports.map((id) => ports.adopt(id));
  parentPort.emit('message', { data: decodeClone(message.data, arrived), ports: arrived });
}
