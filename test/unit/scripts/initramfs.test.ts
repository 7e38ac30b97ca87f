import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { FileMode, writeCpio } from '../../../scripts/guests/cpio.ts';
import { buildInitramfs } from '../../../scripts/guests/initramfs.ts';

interface Member {
  readonly path: string;
  readonly mode: number;
  readonly device: readonly [number, number];
  readonly data: Uint8Array;
}

/** Reads a newc archive by its description: 110 bytes of header, name and data each padded to four bytes. */
function readCpio(archive: Uint8Array): Member[] {
  const members: Member[] = [];
  const text = (start: number, end: number): string => new TextDecoder('latin1').decode(archive.subarray(start, end));
  const align = (at: number): number => (at + 3) & ~3;
  for (let at = 0; ;) {
    expect(text(at, at + 6)).toBe('070701');
    const field = (index: number): number => Number.parseInt(text(at + 6 + index * 8, at + 14 + index * 8), 16);
    const path = text(at + 110, at + 110 + field(11) - 1);
    const dataAt = align(at + 110 + field(11));
    if (path === 'TRAILER!!!') return members;
    members.push({
      path,
      mode: field(1),
      device: [field(9), field(10)],
      data: archive.subarray(dataAt, dataAt + field(6)),
    });
    at = align(dataAt + field(6));
  }
}

describe('writeCpio', () => {
  it('keeps names, modes, devices and contents of every length', () => {
    const entries = [
      { path: 'a', mode: FileMode.Directory },
      ...[0, 1, 2, 3, 4, 5].map((length) => ({
        path: `a/${'x'.repeat(length + 1)}`,
        mode: FileMode.Executable,
        data: new Uint8Array(length).fill(length),
      })),
      { path: 'console', mode: FileMode.CharDevice, device: { major: 5, minor: 1 } },
    ];
    const archive = writeCpio(entries);
    expect(archive.length % 512).toBe(0);
    const members = readCpio(archive);
    expect(members.map((member) => [member.path, member.mode, member.data.length])).toEqual(
      entries.map((entry) => [entry.path, entry.mode, 'data' in entry ? entry.data.length : 0]),
    );
    expect(members[6].data).toEqual(new Uint8Array(5).fill(5));
    expect(members[7].device).toEqual([5, 1]);
  });
});

describe('buildInitramfs', () => {
  it('has a first process, a shell and a console, and the same bytes every time', () => {
    const busybox = new TextEncoder().encode('program');
    const image = buildInitramfs(busybox, new TextEncoder().encode('#!/bin/sh\n'));
    const members = readCpio(gunzipSync(image));
    const find = (path: string): Member | undefined => members.find((member) => member.path === path);
    expect(find('init')?.mode).toBe(0o100755);
    expect(Uint8Array.from(find('bin/busybox')!.data)).toEqual(busybox);
    expect(find('bin/sh')?.mode).toBe(0o120777);
    expect(find('dev/console')?.device).toEqual([5, 1]);
    expect(buildInitramfs(busybox, new TextEncoder().encode('#!/bin/sh\n'))).toEqual(image);
  });
});
