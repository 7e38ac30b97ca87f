/**
 * The bridge: the only thing a renderer can reach outside its sandbox, as `window.bulkhead`.
 *
 * Invariant: nothing here moves lab data. Lab data travels over the engine port, a MessagePort straight to the engine
 * (see EnginePortMessage); the bridge only asks for that port, for native dialogs and for what the window itself owns.
 * Everything that crosses it is plain data (contextBridge copies it).
 */

/** The global the preload script defines in the page's main world. */
export const BRIDGE_NAME = 'bulkhead';

/** Stops a subscription. Calling it twice is harmless. */
export type Unsubscribe = () => void;

/** Which engine process is meant. It grows by one with every start, so that a late message of a dead engine is known. */
export type EngineGeneration = number;

/** What a person can be told when the engine does not run: what happened, why, what to do. */
export interface EngineStopSentence {
  readonly what: string;
  readonly why: string;
  readonly action: string;
}

/** The life of the engine process as the main process sees it. */
export type EngineState =
  /** It was started and has not yet said that its lab is open. */
  | { readonly phase: 'starting'; readonly generation: EngineGeneration; readonly labPath: string }
  /** Its lab is open; a port was or can be had with `engine.connect()`. */
  | { readonly phase: 'running'; readonly generation: EngineGeneration; readonly labPath: string }
  /** It ended without being asked to. Everything up to `savedUpTo` (virtual ns of the lab clock, null when nothing was saved yet) is in the lab file. */
  | {
      readonly phase: 'stopped';
      readonly generation: EngineGeneration;
      readonly labPath: string;
      readonly savedUpTo: number | null;
      readonly sentence: EngineStopSentence;
    }
  /** It could not open the lab file and said why. */
  | {
      readonly phase: 'refused';
      readonly generation: EngineGeneration;
      readonly labPath: string;
      readonly sentence: EngineStopSentence;
    };

/**
 * How the engine port arrives: the preload posts this to the page's own window (targetOrigin = the page's origin) with
 * exactly one MessagePort in `event.ports`. A MessagePort cannot cross contextBridge, so Electron's documentation
 * ("MessagePorts in Electron") prescribes this way. Check `event.source === window` and `isEnginePortMessage(event.data)`.
 */
export interface EnginePortMessage {
  readonly type: typeof ENGINE_PORT_MESSAGE;
  readonly generation: EngineGeneration;
}

export const ENGINE_PORT_MESSAGE = 'bulkhead:engine-port';

/** True for the message that carries the engine port. */
export function isEnginePortMessage(data: unknown): data is EnginePortMessage {
  if (typeof data !== 'object' || data === null) return false;
  const message = data as Partial<EnginePortMessage>;
  return message.type === ENGINE_PORT_MESSAGE && typeof message.generation === 'number';
}

/** What the person wants to open or save; each kind has its own title and file filters, kept in the main process. */
export type OpenKind = 'lab' | 'import' | 'ramdisk' | 'disk' | 'domain';
export type SaveKind = 'lab' | 'console' | 'trace' | 'figures' | 'domain' | 'capture';

/** Which colours: as the system says, or fixed. */
export type ThemeChoice = 'system' | 'light' | 'dark';

/** What is in force now. `dark` already takes the system's setting into account. */
export interface ThemeState {
  readonly choice: ThemeChoice;
  readonly dark: boolean;
}

export type WindowDisplay = 'normal' | 'maximized' | 'fullscreen';

/** Facts about this installation, for "About" and for bug reports. */
export interface AppFacts {
  readonly name: string;
  readonly version: string;
  /** Node's name of the platform: linux, win32, darwin. */
  readonly platform: string;
  readonly versions: { readonly electron: string; readonly chrome: string; readonly node: string };
}

export interface BulkheadBridge {
  /** Facts that do not change while the app runs. */
  readonly facts: AppFacts;

  readonly engine: {
    /** The state now. */
    state(): Promise<EngineState>;
    /** Called on every change from now on. */
    onState(listener: (state: EngineState) => void): Unsubscribe;
    /** Asks for a fresh port to the running engine; it arrives as an EnginePortMessage. Rejects when none runs. Closing an earlier port is the caller's part. */
    connect(): Promise<void>;
    /** Starts the engine again on the same lab file, from its last autosave. Resolves when its lab is open, rejects when it ends before. */
    restart(): Promise<void>;
    /** Ends the engine cleanly and starts it on another lab file (made when it does not exist). Resolves when that lab is open. */
    openLab(path: string): Promise<void>;
  };

  readonly files: {
    /** The native open dialog. Resolves with absolute paths, empty when cancelled. */
    open(kind: OpenKind): Promise<readonly string[]>;
    /** The native save dialog. Resolves with an absolute path, null when cancelled. `suggestedName` is a file name without folders. */
    save(kind: SaveKind, suggestedName: string): Promise<string | null>;
    /** The absolute path of a file that was dropped or picked; empty for a File that was made by script. */
    pathOf(file: unknown): string;
    /** Files given on the command line or opened through their association, at start and later. Files that arrived before the first listener are delivered to it. */
    onOpenRequest(listener: (paths: readonly string[]) => void): Unsubscribe;
  };

  readonly menu: {
    /** A command chosen in the native menu (see shared/commands). */
    onCommand(listener: (command: string) => void): Unsubscribe;
    /** Which commands can run now; the native menu greys the others. Commands not named keep their state. */
    setEnabled(enabled: Readonly<Record<string, boolean>>): Promise<void>;
  };

  readonly theme: {
    state(): Promise<ThemeState>;
    set(choice: ThemeChoice): Promise<void>;
    onChange(listener: (state: ThemeState) => void): Unsubscribe;
  };

  readonly window: {
    /** The name of the lab, shown in the window's title before the app's name. */
    setTitle(labName: string): Promise<void>;
    state(): Promise<WindowDisplay>;
    onState(listener: (state: WindowDisplay) => void): Unsubscribe;
  };

  /** Opens a page of the manual or of a cited source in the person's browser. Rejects addresses that are not https. */
  openExternal(url: string): Promise<void>;
}
