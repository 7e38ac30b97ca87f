/**
 * The native open and save dialogs, one row per kind of file.
 */
import { BrowserWindow, dialog, type FileFilter } from 'electron';
import type { OpenKind, SaveKind } from '../../shared/bridge.ts';

const anyFile: FileFilter = { name: 'All files', extensions: ['*'] };
const labFile: FileFilter = { name: 'Bulkhead lab', extensions: ['bulkhead'] };

const savedDomain: FileFilter = { name: 'Saved domain', extensions: ['save'] };

const openDialogs: Readonly<
  Record<OpenKind, { title: string; button: string; filters: FileFilter[]; several?: true }>
> = {
  lab: { title: 'Open lab', button: 'Open', filters: [labFile, anyFile] },
  import: {
    title: 'Import kernel or xl.cfg',
    button: 'Import',
    // Kernels seldom have an extension, so the first choice shows everything.
    filters: [anyFile, { name: 'xl configuration', extensions: ['cfg', 'xl'] }],
    several: true,
  },
  ramdisk: { title: 'Choose a ramdisk', button: 'Choose', filters: [anyFile] },
  domain: { title: 'Restore a saved domain', button: 'Restore', filters: [savedDomain, anyFile] },
  disk: {
    title: 'Choose a disk image',
    button: 'Choose',
    filters: [anyFile, { name: 'Raw image', extensions: ['img', 'raw'] }],
  },
};

const saveDialogs: Readonly<Record<SaveKind, { title: string; filters: FileFilter[] }>> = {
  lab: { title: 'Save a copy of the lab', filters: [labFile] },
  console: { title: 'Save console text', filters: [{ name: 'Text', extensions: ['txt'] }] },
  trace: {
    title: 'Export trace',
    filters: [
      { name: 'JSON lines', extensions: ['jsonl'] },
      { name: 'CSV', extensions: ['csv'] },
    ],
  },
  domain: { title: 'Save domain', filters: [savedDomain] },
  capture: { title: 'Capture to a file', filters: [{ name: 'Packet capture', extensions: ['pcap'] }] },
  figures: {
    title: 'Export figures',
    filters: [
      { name: 'JSON', extensions: ['json'] },
      { name: 'CSV', extensions: ['csv'] },
    ],
  },
};

/** @returns absolute paths, empty when the person cancelled. */
export async function openFiles(window: BrowserWindow, kind: OpenKind): Promise<readonly string[]> {
  const row = openDialogs[kind];
  const result = await dialog.showOpenDialog(window, {
    title: row.title,
    buttonLabel: row.button,
    filters: row.filters,
    properties: row.several === true ? ['openFile', 'multiSelections'] : ['openFile'],
  });
  return result.canceled ? [] : result.filePaths;
}

/** @returns an absolute path, null when the person cancelled. */
export async function saveFile(window: BrowserWindow, kind: SaveKind, suggestedName: string): Promise<string | null> {
  const row = saveDialogs[kind];
  const result = await dialog.showSaveDialog(window, {
    title: row.title,
    defaultPath: suggestedName,
    filters: row.filters,
    properties: ['showOverwriteConfirmation', 'createDirectory'],
  });
  return result.canceled || result.filePath === '' ? null : result.filePath;
}
