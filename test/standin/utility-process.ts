/**
 * Electron's utilityProcess: a child process of Node 24 that runs the same bundle with `process.parentPort`.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { fileURLToPath } from 'node:url';
import { checkedTransfer, type MessagePortMain, type PortMessage } from './message-ports.ts';
import { decodeClone, encodeClone } from './page/clone-codec.ts';
import { refuseUnknown, refuseUnknownOptions } from './refuse-unknown.ts';
import { closeAllOf, closeFrom, deliverFrom, mainPorts, moveTo, type PortHolder } from './router.ts';

/** Main process -> utility process and back, over Node's IPC channel. */
export type UtilityFrame =
  | { op: 'message'; message: PortMessage }
  | { op: 'port'; id: string; message: PortMessage }
  | { op: 'port-close'; id: string };

interface UtilityEvents {
  spawn: [];
  exit: [code: number];
  message: [message: unknown];
  error: [type: string, location: string, report: string];
}

const bootstrap = fileURLToPath(new URL('./utility-bootstrap.ts', import.meta.url));
const running = new Set<UtilityProcess>();

class UtilityProcess extends EventEmitter<UtilityEvents> implements PortHolder {
  readonly #child: ChildProcess;
  /** For app.getAppMetrics(). */
  readonly name: string;

  constructor(modulePath: string, args: readonly string[], options: ForkOptions) {
    super();
    this.name = options.serviceName ?? 'Node Utility Process';
    const stdio = options.stdio ?? 'inherit';
    const [, out, err] = typeof stdio === 'string' ? ['ignore', stdio, stdio] : stdio;
    this.#child = fork(bootstrap, [modulePath, ...args], {
      serialization: 'advanced',
      stdio: ['ignore', out ?? 'inherit', err ?? 'inherit', 'ipc'],
      execArgv: [...(options.execArgv ?? [])],
      env: options.env ?? process.env,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    running.add(this);
    this.#child.once('spawn', () => this.emit('spawn'));
    this.#child.on('message', (frame: UtilityFrame) => {
      this.#receive(frame);
    });
    // `close` would wait for the output streams of grandchildren; Electron reports the process itself.
    this.#child.once('exit', (code, signal) => {
      running.delete(this);
      closeAllOf(this);
      this.emit('exit', code ?? signalNumber(signal));
    });
  }

  get pid(): number | undefined {
    return this.#child.exitCode === null && this.#child.signalCode === null ? this.#child.pid : undefined;
  }

  get stdout(): NodeJS.ReadableStream | null {
    return this.#child.stdout;
  }

  get stderr(): NodeJS.ReadableStream | null {
    return this.#child.stderr;
  }

  postMessage(message: unknown, transfer: readonly MessagePortMain[] = []): void {
    const data = encodeClone(message, checkedTransfer(transfer));
    const ports = transfer.map((port) => mainPorts.release(port));
    moveTo(this, ports);
    this.#send({ op: 'message', message: { data, ports } });
  }

  kill(): boolean {
    // Electron ends a utility process gracefully where it can: SIGTERM.
    return this.#child.kill();
  }

  deliver(id: string, message: PortMessage): void {
    this.#send({ op: 'port', id, message });
  }

  deliverClose(id: string): void {
    this.#send({ op: 'port-close', id });
  }

  #send(frame: UtilityFrame): void {
    if (this.#child.connected) this.#child.send(frame);
  }

  #receive(frame: UtilityFrame): void {
    switch (frame.op) {
      case 'message':
        this.emit('message', decodeClone(frame.message.data));
        return;
      case 'port':
        deliverFrom(frame.id, frame.message);
        return;
      case 'port-close':
        closeFrom(frame.id);
        return;
    }
  }
}

interface ForkOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly execArgv?: readonly string[];
  readonly cwd?: string;
  readonly stdio?: StdioChoice | readonly StdioChoice[];
  readonly serviceName?: string;
}
type StdioChoice = 'pipe' | 'ignore' | 'inherit';

function signalNumber(signal: NodeJS.Signals | null): number {
  // Electron reports the signal's number on POSIX systems.
  const numbers: Partial<Record<NodeJS.Signals, number>> = {
    SIGHUP: 1,
    SIGINT: 2,
    SIGABRT: 6,
    SIGKILL: 9,
    SIGSEGV: 11,
    SIGTERM: 15,
  };
  return signal === null ? 1 : (numbers[signal] ?? 1);
}

export const utilityProcess = refuseUnknown('utilityProcess', {
  fork(modulePath: string, args: readonly string[] = [], options: ForkOptions = {}): UtilityProcess {
    refuseUnknownOptions('utilityProcess.fork', options, ['env', 'execArgv', 'cwd', 'stdio', 'serviceName']);
    return refuseUnknown('UtilityProcess', new UtilityProcess(modulePath, args, options));
  },
});

/** For app.getAppMetrics(). */
export function utilityMetrics(): { pid: number; type: string; name: string }[] {
  return [...running].flatMap(({ pid, name }) => (pid === undefined ? [] : [{ pid, type: 'Utility', name }]));
}

/** When the app ends, its utility processes end with it. */
export function endUtilityProcesses(): void {
  for (const child of running) child.kill();
}
