// Captures of network interfaces: every frame of an interface into a pcap file, as long as somebody wants it and its domain lives here.
// Invariant: a file that cannot be written any more ends its capture and is told of; it never stops the host.

import { closeSync, openSync, writeSync } from 'node:fs';
import type { CaptureStatus } from '../../shared/model.ts';
import type { NetBackend } from '../backends/network/net-backend.ts';
import { pcapHeader, pcapRecord } from '../backends/network/pcap.ts';
import { buildError } from './builder/domain-image.ts';

interface Capture {
  /** null = it has ended because of `problem`. */
  file: number | null;
  readonly backend: NetBackend;
  readonly status: CaptureStatus;
}

export class Captures {
  readonly #now: () => bigint;
  /** By domid, then by interface. */
  readonly #open = new Map<number, Map<number, Capture>>();

  /** @param now Unix time in ns of what is captured now */
  constructor(now: () => bigint) {
    this.#now = now;
  }

  /** Writes every frame of an interface to a file from now on; an earlier capture of it ends. @throws BulkheadError when there is no such interface or file */
  start(domid: number, name: string, nics: readonly NetBackend[], nic: number, path: string): void {
    const backend = nics[nic];
    if (!backend)
      throw buildError(
        'not-found',
        `${name} has no network interface ${nic}.`,
        nics.length ? `It has ${nics.length}, counted from 0.` : 'It was built without one.',
        'Choose one that it has.',
        'nic',
      );
    this.stop(domid, nic);
    const header = pcapHeader();
    let file: number;
    try {
      file = openSync(path, 'w');
      writeSync(file, header);
    } catch (error) {
      throw buildError(
        'file-missing',
        `The capture file ${path} cannot be written.`,
        (error as Error).message,
        'Choose a folder that exists and may be written to.',
        'path',
      );
    }
    const capture: Capture = { file, backend, status: { nic, path, bytes: header.length } };
    const ofDomain = this.#open.get(domid) ?? new Map<number, Capture>();
    this.#open.set(domid, ofDomain.set(nic, capture));
    backend.tap = (frame) => this.#write(capture, frame);
  }

  #write(capture: Capture, frame: Uint8Array): void {
    if (capture.file === null) return;
    const record = pcapRecord(frame, this.#now());
    try {
      writeSync(capture.file, record);
      capture.status.bytes += record.length;
    } catch (error) {
      capture.status.problem = `The capture ended: ${(error as Error).message}`;
      this.#close(capture);
    }
  }

  #close(capture: Capture): void {
    capture.backend.tap = null;
    if (capture.file !== null) closeSync(capture.file);
    capture.file = null;
  }

  /** Ends a capture; there need not be one. */
  stop(domid: number, nic: number): void {
    const ofDomain = this.#open.get(domid);
    const capture = ofDomain?.get(nic);
    if (!ofDomain || !capture) return;
    this.#close(capture);
    ofDomain.delete(nic);
    if (!ofDomain.size) this.#open.delete(domid);
  }

  /** Ends every capture of a domain. */
  stopAll(domid: number): void {
    for (const nic of this.#open.get(domid)?.keys() ?? []) this.stop(domid, nic);
  }

  /** Captures of a domain, those included that ended because of a problem. */
  of(domid: number): CaptureStatus[] {
    return [...(this.#open.get(domid)?.values() ?? [])].map(({ status }) => ({ ...status }));
  }
}
