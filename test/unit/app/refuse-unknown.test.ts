/** The stand-in is loud about what it does not emulate. */
import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { refuseUnknown, refuseUnknownOptions } from '../../standin/refuse-unknown.ts';

class Thing extends EventEmitter {
  #count = 0;
  next(): number {
    return ++this.#count;
  }
}

describe('refuseUnknown', () => {
  it('names what is missing', () => {
    const app = refuseUnknown('app', { quit: () => 1 }) as unknown as Record<string, () => unknown>;
    expect(app['quit']?.()).toBe(1);
    expect(() => app['dock']).toThrow('The stand-in for Electron does not emulate app.dock.');
    expect(() => (app['badge'] = () => 1)).toThrow('app.badge');
  });

  it('works with private fields, events and promises', async () => {
    const thing = refuseUnknown('Thing', new Thing());
    expect(thing.next()).toBe(1);
    expect(thing.next()).toBe(2);
    let heard = 0;
    thing.on('tick', () => heard++);
    thing.emit('tick');
    expect(heard).toBe(1);
    expect(await Promise.resolve(thing)).toBe(thing);
    expect(thing.next).toBe(thing.next);
  });

  it('names an option that would do nothing', () => {
    expect(() => refuseUnknownOptions('BrowserWindow', { kiosk: true }, ['width'])).toThrow(
      'the option kiosk of BrowserWindow',
    );
  });
});
