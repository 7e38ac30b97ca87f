/** The command line of the desktop app. */
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { isLabFile, parseArguments } from '../../../main/app/arguments.ts';

const cwd = path.resolve('/home/person');

describe('parseArguments', () => {
  it('takes files relative to the folder it was called in', () => {
    expect(parseArguments(['a.bulkhead', '/x/b.cfg'], cwd).files).toEqual([
      path.join(cwd, 'a.bulkhead'),
      path.resolve('/x/b.cfg'),
    ]);
  });

  it('takes the profile folder', () => {
    expect(parseArguments(['--profile=p', 'a'], cwd)).toEqual({
      profile: path.join(cwd, 'p'),
      files: [path.join(cwd, 'a')],
    });
  });

  it('leaves switches of Chromium and Electron alone', () => {
    expect(parseArguments(['--no-sandbox', '--inspect=0', '-v', ''], cwd)).toEqual({ profile: null, files: [] });
  });

  it('takes everything after -- as files', () => {
    expect(parseArguments(['--', '--profile=x', '-y'], cwd)).toEqual({
      profile: null,
      files: [path.join(cwd, '--profile=x'), path.join(cwd, '-y')],
    });
  });
});

describe('isLabFile', () => {
  it.each([
    ['/a/b.bulkhead', true],
    ['/a/B.BULKHEAD', true],
    ['/a/b.cfg', false],
    ['/a/bulkhead', false],
  ])('says of %s: %s', (file, expected) => {
    expect(isLabFile(file)).toBe(expected);
  });
});
