/**
 * The command line of the desktop app: `bulkhead [--profile=<folder>] [file ...]`.
 *
 * Pure, so that the first instance, a second instance handing over its arguments, and the tests read them alike.
 */
import path from 'node:path';

export interface Arguments {
  /** Folder for preferences, labs and browser data instead of the user's own; for tests and portable use. */
  readonly profile: string | null;
  /** Absolute paths of files to open, in the order given. */
  readonly files: readonly string[];
}

/**
 * Reads the arguments that follow the executable (and, unpackaged, the app's folder).
 *
 * @param args without executable and app folder
 * @param cwd the folder that relative paths are relative to
 */
export function parseArguments(args: readonly string[], cwd: string): Arguments {
  let profile: string | null = null;
  const files: string[] = [];
  let onlyFiles = false;
  for (const argument of args) {
    if (!onlyFiles && argument === '--') {
      onlyFiles = true;
    } else if (!onlyFiles && argument.startsWith('--profile=')) {
      profile = path.resolve(cwd, argument.slice('--profile='.length));
    } else if (!onlyFiles && argument.startsWith('-')) {
      // Chromium and Electron have hundreds of switches of their own (--no-sandbox, --inspect): not ours to refuse.
      continue;
    } else if (argument !== '') {
      files.push(path.resolve(cwd, argument));
    }
  }
  return { profile, files };
}

/** True for a lab file by its name; anything else is offered for import. */
export function isLabFile(file: string): boolean {
  return path.extname(file).toLowerCase() === '.bulkhead';
}
