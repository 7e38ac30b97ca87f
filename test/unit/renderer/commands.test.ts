// Finding verbs and reading key presses.
import { describe, expect, it } from 'vitest';
import type { Verb } from '../../../renderer/commands/command.ts';
import { groupVerbs, matchVerbs } from '../../../renderer/commands/match.ts';
import { keyTable, keyTaken } from '../../../renderer/commands/key-table.ts';
import { matchesChord, parseAccelerator, printAccelerator } from '../../../renderer/commands/keys.ts';
import { commands } from '../../../shared/commands.ts';

const verb = (title: string, group = 'Lab', more: Partial<Verb> = {}): Verb => ({
  id: title,
  title,
  label: title,
  group,
  run: () => undefined,
  ...more,
});
const press = (key: string, more: Partial<KeyboardEvent> = {}) => ({
  key,
  ctrlKey: false,
  metaKey: false,
  shiftKey: false,
  altKey: false,
  ...more,
});

describe('the palette', () => {
  const verbs = [
    verb('Create Demo guest, PV 64, on alder', 'Create'),
    verb('Create Demo guest, PVH, on birch', 'Create'),
    verb('Pause web-01', 'web-01', { keywords: 'stop halt' }),
    verb('Destroy web-01', 'web-01', { disabledReason: 'it is gone' }),
    verb('Add host…', 'Lab'),
  ];
  const titles = (query: string): string[] => matchVerbs(verbs, query).map((match) => match.title);

  it('takes words in any order and from any field', () => {
    expect(titles('birch pvh create')).toEqual(['Create Demo guest, PVH, on birch']);
    expect(titles('halt')).toEqual(['Pause web-01']);
  });

  it('offers everything for nothing typed, and nothing for nonsense', () => {
    expect(titles('  ')).toHaveLength(verbs.length);
    expect(titles('xyzzy')).toEqual([]);
  });

  it('puts what cannot run last, but keeps it', () => {
    expect(titles('web-01')).toEqual(['Pause web-01', 'Destroy web-01']);
    expect(titles('destroy')).toEqual(['Destroy web-01']);
  });

  it('treats typed punctuation as text', () => {
    expect(titles('host…')).toEqual(['Add host…']);
    expect(titles('(')).toEqual([]);
  });

  it('groups without losing the order', () => {
    expect(groupVerbs(matchVerbs(verbs, '')).map((group) => [group.group, group.verbs.length])).toEqual([
      ['Create', 2],
      ['web-01', 1 + 1],
      ['Lab', 1],
    ]);
  });
});

describe('shortcuts', () => {
  it('reads every accelerator of the command table', () => {
    for (const command of commands) {
      if (!('keys' in command)) continue;
      const chord = parseAccelerator(command.keys);
      expect(chord.key, command.id).not.toBe('');
      const event = press(chord.key, { ctrlKey: chord.ctrl, shiftKey: chord.shift, altKey: chord.alt });
      expect(matchesChord(event, chord, false), command.id).toBe(true);
      expect(matchesChord({ ...event, ctrlKey: !chord.ctrl }, chord, false), command.id).toBe(false);
    }
  });

  it('has no two commands on one key', () => {
    const keys = commands.flatMap((command) => ('keys' in command ? [command.keys] : []));
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('takes ? from layouts on which it needs Shift and from those on which it does not', () => {
    const chord = parseAccelerator('?');
    expect(matchesChord(press('?', { shiftKey: true }), chord, false)).toBe(true);
    expect(matchesChord(press('?'), chord, false)).toBe(true);
  });

  it('tells F6 from Shift+F6', () => {
    expect(matchesChord(press('F6', { shiftKey: true }), parseAccelerator('F6'), false)).toBe(false);
    expect(matchesChord(press('F6', { shiftKey: true }), parseAccelerator('Shift+F6'), false)).toBe(true);
  });

  it('prints for each system', () => {
    expect(printAccelerator('CmdOrCtrl+K', false)).toBe('Ctrl K');
    expect(printAccelerator('CmdOrCtrl+K', true)).toBe('⌘K');
    expect(matchesChord(press('k', { metaKey: true }), parseAccelerator('CmdOrCtrl+K'), true)).toBe(true);
  });
});

describe('keys of single letters', () => {
  it('can be remapped or switched off; keys with Ctrl stay', () => {
    const table = keyTable({ 'domain.migrate': 'G', 'domain.pause': '', 'domain.save': 'X' });
    const keysOf = (id: string) => table.find((entry) => entry.id === id)?.keys;
    expect(keysOf('domain.migrate')).toBe('G');
    expect(keysOf('domain.pause')).toBe('');
    expect(keysOf('domain.save')).toBe('CmdOrCtrl+S');
    expect(keyTaken(table, 'domain.create', 'g')?.id).toBe('domain.migrate');
    expect(keyTaken(table, 'domain.migrate', 'g')).toBeUndefined();
    expect(keyTaken(table, 'domain.create', 'p')).toBeUndefined();
  });

  it('are not given twice as they come', () => {
    const keys = keyTable({}).map((entry) => entry.keys);
    expect(new Set(keys).size).toBe(keys.length);
  });
});
