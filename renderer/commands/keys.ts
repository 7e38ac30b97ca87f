// Shortcuts: from the command table's accelerators to what a key press is, and to how a key cap is printed.

/** One key with its modifiers; `ctrl` is Ctrl, on macOS Cmd. */
export interface KeyChord {
  readonly key: string;
  readonly ctrl: boolean;
  readonly shift: boolean;
  readonly alt: boolean;
}

/** Reads an Electron accelerator such as "CmdOrCtrl+Shift+O". */
export function parseAccelerator(accelerator: string): KeyChord {
  const parts = accelerator === '+' ? ['+'] : accelerator.split('+');
  const key = parts.at(-1)!;
  const has = (...names: string[]): boolean => parts.slice(0, -1).some((part) => names.includes(part));
  return {
    key: key.length === 1 ? key.toLowerCase() : key,
    ctrl: has('CmdOrCtrl', 'CommandOrControl', 'Ctrl', 'Control'),
    shift: has('Shift'),
    alt: has('Alt', 'Option'),
  };
}

interface KeyPress {
  readonly key: string;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly shiftKey: boolean;
  readonly altKey: boolean;
}

/**
 * Whether a key press is that chord. For a character such as "?" or "[" the layout decides whether Shift is needed, so Shift
 * is compared for letters and named keys only.
 */
export function matchesChord(event: KeyPress, chord: KeyChord, mac: boolean): boolean {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key !== chord.key) return false;
  const control = mac ? event.metaKey : event.ctrlKey;
  if (control !== chord.ctrl || event.altKey !== chord.alt) return false;
  const symbol = chord.key.length === 1 && !/[a-z0-9]/.test(chord.key);
  return symbol || event.shiftKey === chord.shift;
}

/** As printed on a key cap or in a tooltip: "Ctrl K", on macOS "⌘K". */
export function printAccelerator(accelerator: string, mac: boolean): string {
  const { key, ctrl, shift, alt } = parseAccelerator(accelerator);
  const name = key.length === 1 ? key.toUpperCase() : key;
  if (mac) return `${ctrl ? '⌘' : ''}${alt ? '⌥' : ''}${shift ? '⇧' : ''}${name}`;
  return [ctrl && 'Ctrl', alt && 'Alt', shift && 'Shift', name].filter(Boolean).join(' ');
}
