// The renderer on a fake bridge. Options in the hash: #domains=5&theme=light&state=crash|first|stopped|full
import type { BulkheadBridge, EngineState, ThemeState } from '../../../../shared/bridge.ts';
import { ENGINE_PORT_MESSAGE } from '../../../../shared/bridge.ts';
import { labService } from '../../../../shared/lab-service.ts';
import { fromDomPort, serve } from '../../../../shared/rpc.ts';
import { fakeLab } from './fake-lab.ts';

const options = new URLSearchParams(location.hash.slice(1));
const lab = fakeLab({ domains: Number(options.get('domains') ?? 5), state: options.get('state') ?? '' });

let theme: ThemeState = { choice: 'system', dark: options.get('theme') !== 'light' };
const themeListeners = new Set<(state: ThemeState) => void>();
const engineListeners = new Set<(state: EngineState) => void>();
const labPath = '/labs/migration-study.bulkhead';
let engine: EngineState = { phase: 'running', generation: 1, labPath };

function stopEngine(): void {
  engine = {
    phase: 'stopped',
    generation: 1,
    labPath,
    savedUpTo: 192_000_000_000,
    sentence: {
      what: 'The engine stopped.',
      why: 'Its process was ended by signal SIGKILL.',
      action: 'Restart it to go on from there.',
    },
  };
  engineListeners.forEach((listener) => listener(engine));
}

const bridge: BulkheadBridge = {
  facts: { name: 'Bulkhead', version: '0.0.0', platform: 'linux', versions: { electron: '', chrome: '', node: '' } },
  engine: {
    state: async () => engine,
    onState: (listener) => {
      engineListeners.add(listener);
      return () => engineListeners.delete(listener);
    },
    connect: async () => {
      const { port1, port2 } = new MessageChannel();
      serve(labService, lab, fromDomPort(port1));
      postMessage({ type: ENGINE_PORT_MESSAGE, generation: engine.generation }, location.origin, [port2]);
    },
    restart: async () => {
      engine = { phase: 'running', generation: engine.generation + 1, labPath };
      engineListeners.forEach((listener) => listener(engine));
    },
    openLab: async () => undefined,
  },
  files: {
    open: async (kind) => (kind === 'import' ? ['/boot/vmlinuz-arm64'] : []),
    save: async () => null,
    pathOf: (file) => `/home/${(file as File).name}`,
    onOpenRequest: () => () => undefined,
  },
  menu: { onCommand: () => () => undefined, setEnabled: async () => undefined },
  theme: {
    state: async () => theme,
    set: async (choice) => {
      theme = { choice, dark: choice !== 'light' };
      themeListeners.forEach((listener) => listener(theme));
    },
    onChange: (listener) => {
      themeListeners.add(listener);
      return () => themeListeners.delete(listener);
    },
  },
  window: { setTitle: async () => undefined, state: async () => 'normal', onState: () => () => undefined },
  openExternal: async () => undefined,
};

Object.assign(window, { bulkhead: bridge, stopEngine });
if (options.get('state') === 'stopped') setTimeout(stopEngine, 800);
await import('../../../../renderer/main.ts');
