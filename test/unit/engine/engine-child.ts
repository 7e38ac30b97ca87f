// Runs the real engine entry in a child process: gives it a process.parentPort as Electron's utilityProcess does, over Node's own IPC.
// Each `attach` gets a MessageChannel whose far end is carried to the parent as { rpc } frames.
import { EventEmitter } from 'node:events';
import { MessageChannel } from 'node:worker_threads';

class ParentPort extends EventEmitter {
  postMessage(message: unknown): void {
    process.send!({ engine: message });
  }
}
const parentPort = new ParentPort();
Object.defineProperty(process, 'parentPort', { value: parentPort });

process.on('message', (m: { engine?: { type: string }; rpc?: unknown }) => {
  if (m.rpc !== undefined) return void far?.postMessage(m.rpc);
  if (m.engine?.type !== 'attach') return void parentPort.emit('message', { data: m.engine, ports: [] });
  const { port1, port2 } = new MessageChannel();
  far = port2;
  port2.on('message', (frame) => process.send!({ rpc: frame }));
  // MessagePortMain wraps what arrives in an event
  const wrapped = {
    postMessage: (v: unknown) => port1.postMessage(v),
    on: (type: string, listener: (e: unknown) => void) =>
      type === 'message' ? port1.on('message', (data) => listener({ data })) : port1.on(type, listener),
    start: () => port1.start(),
    close: () => port1.close(),
  };
  parentPort.emit('message', { data: m.engine, ports: [wrapped] });
});
let far: import('node:worker_threads').MessagePort | null = null;

await import('../../../main/engine/index.ts');
