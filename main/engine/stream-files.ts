// Saved domains as files: read in pieces, written so that a file of this name is either the old one or the whole new one.

import { open, rename, rm } from 'node:fs/promises';
import { BulkheadError } from '../../shared/errors.ts';

const PIECE_BYTES = 4 << 20;

/** The bytes of a file in order. @throws BulkheadError file-missing */
export async function* readPieces(path: string): AsyncGenerator<Uint8Array> {
  let file;
  try {
    file = await open(path, 'r');
  } catch (e) {
    throw new BulkheadError({
      code: 'file-missing',
      what: `The file ${path} cannot be read.`,
      why: (e as Error).message,
      action: 'Check the path and its permissions.',
      field: 'path',
    });
  }
  try {
    for (;;) {
      const { bytesRead, buffer } = await file.read({ buffer: new Uint8Array(PIECE_BYTES) });
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

/** A file that appears only when all of it is there. */
export class WholeFile {
  readonly path: string;
  bytes = 0;
  #file: Awaited<ReturnType<typeof open>> | null = null;

  constructor(path: string) {
    this.path = path;
  }

  get #part(): string {
    return `${this.path}.part`;
  }

  async #guard<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (e) {
      throw new BulkheadError({
        code: 'file-unreadable',
        what: `The file ${this.path} could not be written.`,
        why: (e as Error).message,
        action: 'Choose another folder, or make room there.',
        field: 'path',
      });
    }
  }

  /** @throws BulkheadError file-unreadable */
  async write(bytes: Uint8Array): Promise<void> {
    await this.#guard(async () => {
      this.#file ??= await open(this.#part, 'w');
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await this.#file.write(bytes, done);
        done += bytesWritten;
      }
      this.bytes += bytes.length;
    });
  }

  /** Puts it in its place. */
  async finish(): Promise<void> {
    await this.#guard(async () => {
      await this.#file!.sync();
      await this.#file!.close();
      this.#file = null;
      await rename(this.#part, this.path);
    });
  }

  /** Nothing of it stays. */
  async discard(): Promise<void> {
    await this.#file?.close().catch(() => {});
    this.#file = null;
    await rm(this.#part, { force: true });
  }
}
