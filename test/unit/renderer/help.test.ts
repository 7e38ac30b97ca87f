// Help: every panel that offers it has a topic, every link can be opened, and the tour begins, goes on and ends.
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { closeHelp, openedHelp, openHelp, TOUR, tourStep } from '../../../renderer/help/help.ts';
import { messages } from '../../../renderer/messages/index.ts';

const owner = { isConnected: true, focus: vi.fn() };
beforeEach(() => {
  vi.stubGlobal('document', { activeElement: owner });
  owner.focus.mockClear();
  closeHelp();
});

describe('topics', () => {
  it('exist for the lab, each view and each tab of the inspector', () => {
    const panels = [
      'lab',
      'scheduler',
      'migrations',
      'console',
      'vitals',
      'memory',
      'devices',
      'store',
      'trace',
      'debug',
    ];
    expect(Object.keys(messages.help.topics)).toEqual(expect.arrayContaining([...panels, 'meter', 'crash']));
  });

  it('say something and name a page that is reached over https', () => {
    for (const [id, { title, text, link }] of Object.entries(messages.help.topics)) {
      expect(title, id).not.toBe('');
      expect(text.join(' ').length, id).toBeGreaterThan(40);
      const { protocol, hostname, pathname, search, hash } = new URL(link.url);
      expect(protocol, id).toBe('https:');
      expect(hostname, id).toMatch(/\.(org|com)$/);
      expect(pathname.length, id).toBeGreaterThan(1);
      expect(search + hash, id).toBe('');
      expect(link.label, id).not.toBe('');
    }
  });

  it('open where they were asked for, and give the focus back', () => {
    openHelp('trace', owner as unknown as HTMLElement);
    expect(openedHelp.value).toMatchObject({ step: undefined, topic: { title: messages.help.topics['trace']!.title } });
    closeHelp();
    expect(openedHelp.value).toBeUndefined();
    expect(owner.focus).toHaveBeenCalledOnce();
  });

  it('that do not exist open nothing', () => {
    openHelp('ledger');
    expect(openedHelp.value).toBeUndefined();
  });
});

describe('the tour', () => {
  it('shows each of its topics once, in order, and ends where it began', () => {
    tourStep(1);
    const seen: (string | undefined)[] = [];
    while (openedHelp.value && seen.length < 20) {
      seen.push(openedHelp.value.topic.title);
      tourStep(openedHelp.value.step! + 1);
    }
    expect(seen).toEqual(TOUR.map((id) => messages.help.topics[id]!.title));
    expect(owner.focus).toHaveBeenCalledOnce();
  });
});
