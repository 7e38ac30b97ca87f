// Xenstore: permissions, transactions, watches, quotas and the wire protocol.

import { beforeEach, describe, expect, it } from 'vitest';
import { answer, type Connection, type Message, toBytes, XS } from '../../../main/backends/xenstore/protocol.ts';
import { fail, QUOTA, Session, Store, StoreFailure } from '../../../main/backends/xenstore/store.ts';

let store: Store;
const dom0 = new Session(0);
let guest: Session;
const text = (value: Uint8Array | StoreFailure) =>
  value instanceof StoreFailure ? value.error : new TextDecoder().decode(value);

beforeEach(() => {
  store = new Store();
  guest = new Session(5);
  store.makeDirectory('/local/domain/5', [
    { domid: 0, read: false, write: false },
    { domid: 5, read: true, write: false },
  ]);
  store.makeDirectory('/local/domain/5/data', [{ domid: 5, read: false, write: false }]);
});

describe('access', () => {
  it('lets a guest read its directory and write where it owns', () => {
    expect(store.write(guest, 'data/x', 'hello')).toBeNull();
    expect(text(store.read(guest, 'data/x'))).toBe('hello');
    expect(store.write(guest, 'name', 'me')?.error).toBe('EACCES');
    expect(store.get('/local/domain/5/data/x')).toBe('hello');
  });

  it('keeps other guests out', () => {
    store.write(guest, 'data/x', 'secret');
    const other = new Session(6);
    expect(text(store.read(other, '/local/domain/5/data/x'))).toBe('EACCES');
    expect(store.write(other, '/local/domain/5/data/x', 'no')?.error).toBe('EACCES');
    expect(store.remove(other, '/local/domain/5/data')?.error).toBe('EACCES');
    // Not even whether something exists.
    expect(text(store.read(other, '/local/domain/5/data/absent'))).toBe('EACCES');
  });

  it('does not let a guest give its nodes away', () => {
    store.write(guest, 'data/x', '');
    expect(store.setPermissions(guest, 'data/x', [{ domid: 0, read: true, write: true }])?.error).toBe('EPERM');
    expect(
      store.setPermissions(guest, 'data/x', [
        { domid: 5, read: false, write: false },
        { domid: 6, read: true, write: false },
      ]),
    ).toBeNull();
    expect(text(store.read(new Session(6), '/local/domain/5/data/x'))).toBe('');
  });

  it('refuses malformed paths', () => {
    for (const path of ['', '/a//b', '/a/', 'a b', '/\u00e4', `/${'a'.repeat(4000)}`])
      expect(store.write(dom0, path, '')?.error, path).toBe('EINVAL');
  });
});

describe('quotas', () => {
  it('count nodes and their size', () => {
    expect(store.write(guest, 'data/big', new Uint8Array(QUOTA.nodeBytes + 1))?.error).toBe('ENOSPC');
    let error: StoreFailure | null = null;
    let made = 0;
    while (!error && made <= QUOTA.nodes) error = store.write(guest, `data/n${made++}`, '');
    expect(error?.error).toBe('ENOSPC');
    expect(made).toBeLessThanOrEqual(QUOTA.nodes);
  });

  it('count watches and transactions', () => {
    const owner = {};
    const watch = (n: number) =>
      store.addWatch({ owner, domid: 5, path: `/local/domain/5/data/${n}`, token: 't', strip: 0, fire: () => {} });
    for (let i = 0; i < QUOTA.watches; i++) expect(watch(i)).toBeNull();
    expect(watch(9999)?.error).toBe('E2BIG');
    for (let i = 0; i < QUOTA.transactions; i++) expect(store.begin(guest)).toBeTypeOf('number');
    expect(store.begin(guest)).toEqual(fail('ENOSPC'));
  });
});

describe('transactions', () => {
  it('see their own writes and publish them at once', () => {
    const events: string[] = [];
    store.watch('/local/domain/5/data', (path) => events.push(path));
    events.length = 0;
    const t = store.begin(guest) as number;
    store.write(guest, 'data/a', '1', t);
    store.write(guest, 'data/b', '2', t);
    expect(text(store.read(guest, 'data/a', t))).toBe('1');
    expect(store.get('/local/domain/5/data/a')).toBeNull();
    expect(events).toEqual([]);
    expect(store.end(guest, t, true)).toBeNull();
    expect(store.get('/local/domain/5/data/b')).toBe('2');
    expect(events).toEqual(['/local/domain/5/data/a', '/local/domain/5/data/b']);
  });

  it('fail with EAGAIN when what they read has changed, and only then', () => {
    store.write(guest, 'data/a', '1');
    const t = store.begin(guest) as number;
    store.read(guest, 'data/a', t);
    store.write(guest, 'data/c', 'unrelated');
    store.write(guest, 'data/a', '2');
    store.write(guest, 'data/b', 'x', t);
    expect(store.end(guest, t, true)?.error).toBe('EAGAIN');
    expect(store.get('/local/domain/5/data/b')).toBeNull();
    const u = store.begin(guest) as number;
    store.read(guest, 'data/a', u);
    store.set('/elsewhere', 'unrelated');
    store.write(guest, 'data/a', '3', u);
    expect(store.end(guest, u, true)).toBeNull();
    expect(store.get('/local/domain/5/data/a')).toBe('3');
    expect(store.get('/elsewhere')).toBe('unrelated');
  });

  it('belong to who began them, and vanish when aborted', () => {
    const t = store.begin(guest) as number;
    expect(store.end(new Session(6), t, true)?.error).toBe('ENOENT');
    store.write(guest, 'data/a', '1', t);
    expect(store.end(guest, t, false)).toBeNull();
    expect(store.get('/local/domain/5/data/a')).toBeNull();
    expect(store.end(guest, t, true)?.error).toBe('ENOENT');
  });
});

describe('the wire', () => {
  const sent: string[] = [];
  const connection = (): Connection => ({
    session: guest,
    watchEvent: (path, token) => sent.push(`${path} ${token}`),
    introduced: (id) => id === 5,
  });
  const ask = (c: Connection, type: number, payload: string, transaction = 0): string => {
    const request: Message = { type, requestId: 77, transaction, payload: toBytes(payload) };
    const reply = answer(store, c, request);
    expect(reply.requestId).toBe(77);
    return `${reply.type === XS.ERROR ? 'error ' : ''}${new TextDecoder().decode(reply.payload)}`;
  };

  it('answers reads, writes, directories and errors as guests expect', () => {
    const c = connection();
    expect(ask(c, XS.WRITE, 'data/k\0value')).toBe('OK\0');
    expect(ask(c, XS.READ, 'data/k\0')).toBe('value');
    expect(ask(c, XS.DIRECTORY, 'data\0')).toBe('k\0');
    expect(ask(c, XS.READ, 'data/none\0')).toBe('error ENOENT\0');
    expect(ask(c, XS.READ, 'data/k')).toBe('error EINVAL\0');
    expect(ask(c, XS.GET_PERMS, 'data\0')).toBe('n5\0');
    expect(ask(c, XS.GET_DOMAIN_PATH, '5\0')).toBe('/local/domain/5\0');
    expect(ask(c, XS.IS_DOMAIN_INTRODUCED, '5\0')).toBe('T\0');
    expect(ask(c, XS.INTRODUCE, '6\0' + '1\0' + '2\0')).toBe('error EACCES\0');
    expect(ask(c, 99, '')).toBe('error ENOSYS\0');
  });

  it('fires watches relative to how they were set, first at once', () => {
    const c = connection();
    sent.length = 0;
    expect(ask(c, XS.WATCH, 'data\0tok\0')).toBe('OK\0');
    expect(sent).toEqual(['data tok']);
    store.set('/local/domain/5/data/deep/er', '1');
    expect(sent.at(-1)).toBe('data/deep/er tok');
    expect(ask(c, XS.WATCH, 'data\0tok\0')).toBe('error EEXIST\0');
    expect(ask(c, XS.UNWATCH, 'data\0tok\0')).toBe('OK\0');
    const count = sent.length;
    store.set('/local/domain/5/data/x', '1');
    expect(sent.length).toBe(count);
  });

  it('tells watches inside a removed subtree', () => {
    const c = connection();
    store.write(guest, 'data/a/b', '1');
    ask(c, XS.WATCH, 'data/a/b\0t\0');
    sent.length = 0;
    expect(ask(c, XS.RM, 'data/a\0')).toBe('OK\0');
    expect(sent).toEqual(['data/a/b t']);
  });

  it('returns long directories in parts', () => {
    const c = connection();
    for (let i = 0; i < 400; i++) store.write(guest, `data/${'n'.repeat(20)}${i}`, '');
    expect(ask(c, XS.DIRECTORY, 'data\0')).toBe('error E2BIG\0');
    const names: string[] = [];
    let offset = 0;
    for (;;) {
      const part = ask(c, XS.DIRECTORY_PART, `data\0${offset}\0`);
      const body = part.slice(part.indexOf('\0') + 1);
      const end = body.endsWith('\0\0');
      const content = end ? body.slice(0, -1) : body;
      offset += content.length;
      names.push(content);
      if (end) break;
    }
    expect(names.join('').split('\0').filter(Boolean).length).toBe(400);
  });
});
