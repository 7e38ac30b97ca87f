// Messages of the store's wire protocol (public/io/xs_wire.h): one request in, one reply out, watch events in between.

import { fail, type Session, type Store, type StoreError, StoreFailure } from './store.ts';
import type { Permission } from './tree.ts';

export const XS = {
  CONTROL: 0,
  DIRECTORY: 1,
  READ: 2,
  GET_PERMS: 3,
  WATCH: 4,
  UNWATCH: 5,
  TRANSACTION_START: 6,
  TRANSACTION_END: 7,
  INTRODUCE: 8,
  RELEASE: 9,
  GET_DOMAIN_PATH: 10,
  WRITE: 11,
  MKDIR: 12,
  RM: 13,
  SET_PERMS: 14,
  WATCH_EVENT: 15,
  ERROR: 16,
  IS_DOMAIN_INTRODUCED: 17,
  RESUME: 18,
  SET_TARGET: 19,
  RESET_WATCHES: 21,
  DIRECTORY_PART: 22,
} as const;

export const PAYLOAD_MAX = 4096;

export interface Message {
  type: number;
  requestId: number;
  transaction: number;
  payload: Uint8Array;
}

const OK = 'OK\0';

function latin1(bytes: Uint8Array): string {
  let text = '';
  for (const b of bytes) text += String.fromCharCode(b);
  return text;
}
export function toBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0) & 0xff);
}

/** Strings of a payload that each end in a zero byte; null when the last does not. */
function strings(payload: Uint8Array): string[] | null {
  if (payload.length === 0 || payload[payload.length - 1] !== 0) return null;
  return latin1(payload.subarray(0, -1)).split('\0');
}

function formatPermission(p: Permission): string {
  return `${p.read && p.write ? 'b' : p.read ? 'r' : p.write ? 'w' : 'n'}${p.domid}`;
}

function parsePermission(text: string): Permission | null {
  const m = /^([nrwb])(\d{1,5})$/.exec(text);
  if (!m) return null;
  return { domid: Number(m[2]), read: m[1] === 'r' || m[1] === 'b', write: m[1] === 'w' || m[1] === 'b' };
}

/** What a connection adds to a session: watches end here, and other domains are asked about. */
export interface Connection {
  readonly session: Session;
  watchEvent(path: string, token: string): void;
  introduced(domid: number): boolean;
}

/** Answers one request. */
export function answer(store: Store, c: Connection, m: Message): Message {
  const result = handle(store, c, m);
  if (result instanceof StoreFailure)
    return { ...m, type: XS.ERROR, payload: toBytes(`${result.error satisfies StoreError}\0`) };
  return { ...m, payload: typeof result === 'string' ? toBytes(result) : result };
}

function handle(store: Store, c: Connection, m: Message): Uint8Array | string | StoreFailure {
  const { session } = c;
  const args = strings(m.payload);
  const done = (error: StoreFailure | null): string | StoreFailure => error ?? OK;
  switch (m.type) {
    case XS.READ:
      return args?.length === 1 ? store.read(session, args[0], m.transaction) : fail('EINVAL');
    case XS.DIRECTORY: {
      if (args?.length !== 1) return fail('EINVAL');
      const names = store.directory(session, args[0], m.transaction);
      if (names instanceof StoreFailure) return names;
      const text = names.map((n) => `${n}\0`).join('');
      return text.length > PAYLOAD_MAX ? fail('E2BIG') : text;
    }
    case XS.DIRECTORY_PART: {
      if (args?.length !== 2) return fail('EINVAL');
      const names = store.directory(session, args[0], m.transaction);
      const generation = store.generation(session, args[0], m.transaction);
      if (names instanceof StoreFailure) return names;
      if (generation instanceof StoreFailure) return generation;
      const text = names.map((n) => `${n}\0`).join('');
      const offset = Number(args[1]);
      if (!Number.isInteger(offset) || offset < 0 || offset > text.length) return fail('EINVAL');
      const lead = `${generation}\0`;
      const part = text.slice(offset, offset + PAYLOAD_MAX - lead.length - 1);
      // An empty string marks the end.
      return lead + part + (offset + part.length >= text.length ? '\0' : '');
    }
    case XS.WRITE: {
      const end = m.payload.indexOf(0);
      if (end < 0) return fail('EINVAL');
      return done(store.write(session, latin1(m.payload.subarray(0, end)), m.payload.slice(end + 1), m.transaction));
    }
    case XS.MKDIR:
      return args?.length === 1 ? done(store.mkdir(session, args[0], m.transaction)) : fail('EINVAL');
    case XS.RM:
      return args?.length === 1 ? done(store.remove(session, args[0], m.transaction)) : fail('EINVAL');
    case XS.GET_PERMS: {
      if (args?.length !== 1) return fail('EINVAL');
      const p = store.permissions(session, args[0], m.transaction);
      return p instanceof StoreFailure ? p : p.map((x) => `${formatPermission(x)}\0`).join('');
    }
    case XS.SET_PERMS: {
      if (!args || args.length < 2) return fail('EINVAL');
      const permissions = args.slice(1).map(parsePermission);
      if (permissions.some((p) => p === null)) return fail('EINVAL');
      return done(store.setPermissions(session, args[0], permissions as Permission[], m.transaction));
    }
    case XS.TRANSACTION_START: {
      if (m.transaction !== 0) return fail('EBUSY');
      const id = store.begin(session);
      return id instanceof StoreFailure ? id : `${id}\0`;
    }
    case XS.TRANSACTION_END:
      if (args?.length !== 1 || (args[0] !== 'T' && args[0] !== 'F')) return fail('EINVAL');
      return done(store.end(session, m.transaction, args[0] === 'T'));
    case XS.WATCH: {
      if (!args || args.length < 2) return fail('EINVAL');
      const path = store.resolve(session, args[0], true);
      if (path instanceof StoreFailure) return path;
      const strip = args[0].startsWith('/') || args[0].startsWith('@') ? 0 : path.length - args[0].length;
      const error = store.addWatch({
        owner: c,
        domid: session.domid,
        path,
        token: args[1],
        strip,
        fire: (p, t) => c.watchEvent(p, t),
      });
      return done(error);
    }
    case XS.UNWATCH: {
      if (!args || args.length < 2) return fail('EINVAL');
      const path = store.resolve(session, args[0], true);
      if (path instanceof StoreFailure) return path;
      return done(store.removeWatch(c, path, args[1]));
    }
    case XS.RESET_WATCHES:
      store.removeWatches(c);
      session.transactions.clear();
      return OK;
    case XS.GET_DOMAIN_PATH: {
      const domid = Number(args?.[0] || NaN);
      return Number.isInteger(domid) ? `/local/domain/${domid}\0` : fail('EINVAL');
    }
    case XS.IS_DOMAIN_INTRODUCED: {
      const domid = Number(args?.[0] || NaN);
      return Number.isInteger(domid) ? `${c.introduced(domid) ? 'T' : 'F'}\0` : fail('EINVAL');
    }
    case XS.CONTROL:
    case XS.INTRODUCE:
    case XS.RELEASE:
    case XS.RESUME:
    case XS.SET_TARGET:
      return fail('EACCES');
    default:
      return fail('ENOSYS');
  }
}
