/**
 * The one table of commands: the native menu, the palette, tooltips and the list of shortcuts are made from it.
 *
 * Keys are written as Electron's accelerators. The renderer acts on them (a console takes every key but Ctrl+F6, and
 * single keys act only on the canvas or tape, WCAG 2.1.4), so the native menu shows them without registering them.
 */

export type CommandMenu = 'file' | 'edit' | 'domain' | 'lab' | 'view' | 'help';

export interface Command {
  /** Stable name, `area.verb`. */
  readonly id: string;
  readonly menu: CommandMenu;
  /** Sentence case; an ellipsis when more is asked before anything happens. */
  readonly label: string;
  /** Electron accelerator, for display and for the renderer's key table. */
  readonly keys?: string;
  /** Starts a new group in its menu. */
  readonly group?: true;
  /** `canvas`: the key acts only with canvas or tape focused. */
  readonly scope?: 'canvas';
}

export const commands = [
  { id: 'lab.new', menu: 'file', label: 'New lab…' },
  { id: 'lab.open', menu: 'file', label: 'Open lab…' },
  { id: 'lab.export', menu: 'file', label: 'Save a copy of the lab…' },
  { id: 'view.export', menu: 'file', label: 'Export what is shown…', keys: 'CmdOrCtrl+E' },
  { id: 'import.open', menu: 'file', label: 'Import kernel or xl.cfg…', keys: 'CmdOrCtrl+O', group: true },

  { id: 'domain.restore', menu: 'file', label: 'Restore a saved domain…', keys: 'CmdOrCtrl+Shift+O' },

  { id: 'edit.undo', menu: 'edit', label: 'Undo', keys: 'CmdOrCtrl+Z' },
  { id: 'edit.redo', menu: 'edit', label: 'Redo', keys: 'CmdOrCtrl+Shift+Z' },

  { id: 'domain.create', menu: 'domain', label: 'Create…', keys: 'N', scope: 'canvas' },
  { id: 'domain.pause', menu: 'domain', label: 'Pause or unpause', keys: 'P', scope: 'canvas', group: true },
  { id: 'domain.shutdown', menu: 'domain', label: 'Shut down' },
  { id: 'domain.migrate', menu: 'domain', label: 'Migrate to…', keys: 'M', scope: 'canvas' },
  { id: 'domain.stopLive', menu: 'domain', label: 'Stop and copy now' },
  { id: 'domain.save', menu: 'domain', label: 'Save…', keys: 'CmdOrCtrl+S' },
  { id: 'domain.clone', menu: 'domain', label: 'Clone', keys: 'CmdOrCtrl+D' },
  { id: 'domain.destroy', menu: 'domain', label: 'Destroy', keys: 'Delete', scope: 'canvas' },
  { id: 'domain.resize', menu: 'domain', label: 'Resize…' },
  { id: 'domain.capture', menu: 'domain', label: 'Capture network…' },
  { id: 'domain.rename', menu: 'domain', label: 'Rename…', keys: 'F2' },
  { id: 'domain.console', menu: 'domain', label: 'Enter console', keys: 'CmdOrCtrl+`', group: true },

  { id: 'clock.toggle', menu: 'lab', label: 'Run or pause', keys: 'F9' },
  { id: 'clock.step', menu: 'lab', label: 'Step forward', keys: '.', scope: 'canvas' },
  { id: 'clock.slower', menu: 'lab', label: 'Slower', keys: '[', scope: 'canvas' },
  { id: 'clock.faster', menu: 'lab', label: 'Faster', keys: ']', scope: 'canvas' },
  { id: 'clock.restoreSpeed', menu: 'lab', label: 'Restore speed' },
  { id: 'host.add', menu: 'lab', label: 'Add host…', group: true },
  { id: 'link.edit', menu: 'lab', label: 'Edit link…' },

  { id: 'view.palette', menu: 'view', label: 'Command palette…', keys: 'CmdOrCtrl+K' },
  { id: 'view.lab', menu: 'view', label: 'Lab', keys: 'CmdOrCtrl+1', group: true },
  { id: 'view.scheduler', menu: 'view', label: 'Scheduler', keys: 'CmdOrCtrl+2' },
  { id: 'view.migrations', menu: 'view', label: 'Migrations', keys: 'CmdOrCtrl+3' },
  { id: 'view.nextRegion', menu: 'view', label: 'Next region', keys: 'F6', group: true },
  { id: 'view.previousRegion', menu: 'view', label: 'Previous region', keys: 'Shift+F6' },
  { id: 'view.theme', menu: 'view', label: 'Switch theme', group: true },

  { id: 'help.shortcuts', menu: 'help', label: 'Shortcuts', keys: '?', scope: 'canvas' },
] as const satisfies readonly Command[];

export type CommandId = (typeof commands)[number]['id'];
