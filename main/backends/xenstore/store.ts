// The store: reads, writes, permissions, quotas, watches and transactions, whoever asks (docs/misc/xenstore.txt).
// Errors are the names that go over the wire.

import {
  countOwners,
  find,
  newNode,
  replace,
  splitPath,
  type Permission,
  type StoreNode,
  withPermissions,
  withValue,
} from './tree.ts';

export type StoreError =
  | 'EINVAL'
  | 'EACCES'
  | 'EEXIST'
  | 'ENOENT'
  | 'ENOSPC'
  | 'ENOSYS'
  | 'EAGAIN'
  | 'E2BIG'
  | 'EQUOTA'
  | 'ENOMEM'
  | 'EBUSY'
  | 'EIO'
  | 'EISCONN'
  | 'EPERM';

export class StoreFailure {
  readonly error: StoreError;
  constructor(error: StoreError) {
    this.error = error;
  }
}
export const fail = (error: StoreError): StoreFailure => new StoreFailure(error);

/** What one unprivileged domain may use, as xenstored's defaults. */
export const QUOTA = { nodes: 1000, nodeBytes: 2048, watches: 128, transactions: 10, permissions: 5 } as const;
const ABSOLUTE_MAX = 3072;
const RELATIVE_MAX = 2048;

export interface Watch {
  owner: object;
  domid: number;
  /** Absolute path, or a special one beginning with @. */
  path: string;
  token: string;
  /** How many characters of an event's path the owner does not see (relative watches). */
  strip: number;
  fire(path: string, token: string): void;
}

interface Change {
  path: string;
  /** Whole subtree: watches below it fire too. */
  recursive: boolean;
}

class Transaction {
  readonly id: number;
  root: StoreNode;
  /** Generation of each path that was looked at, in the committed tree at that time; 0 = absent. */
  readonly seen = new Map<string, number>();
  readonly log: ((t: StoreNode) => StoreNode)[] = [];
  readonly changes: Change[] = [];
  constructor(id: number, root: StoreNode) {
    this.id = id;
    this.root = root;
  }
}

/** One user of the store: a domain's ring, or a part of the control domain. */
export class Session {
  readonly domid: number;
  readonly transactions = new Map<number, Transaction>();
  constructor(domid: number) {
    this.domid = domid;
  }
}

const ROOT_PERMISSIONS: readonly Permission[] = [{ domid: 0, read: true, write: false }];

export class Store {
  private root: StoreNode = newNode(ROOT_PERMISSIONS);
  private watches: Watch[] = [];
  private nextTransaction = 1;
  private readonly encoder = new TextEncoder();
  private readonly decoder = new TextDecoder('latin1');

  /** Absolute form of a path, or EINVAL. */
  resolve(session: Session, path: string, allowSpecial = false): string | StoreFailure {
    if (allowSpecial && path.startsWith('@')) return path;
    const absolute = path.startsWith('/');
    if (path.length === 0 || path.length > (absolute ? ABSOLUTE_MAX : RELATIVE_MAX)) return fail('EINVAL');
    const full = absolute ? path : `/local/domain/${session.domid}/${path}`;
    if (full !== '/' && (full.endsWith('/') || full.includes('//'))) return fail('EINVAL');
    return /^[A-Za-z0-9\-/_@]+$/.test(full) ? full : fail('EINVAL');
  }

  private access(node: StoreNode, domid: number): { read: boolean; write: boolean; owner: boolean } {
    if (domid === 0) return { read: true, write: true, owner: true };
    const [owner, ...others] = node.permissions;
    if (owner.domid === domid) return { read: true, write: true, owner: true };
    const own = others.find((p) => p.domid === domid);
    return { read: own?.read ?? owner.read, write: own?.write ?? owner.write, owner: false };
  }

  private view(session: Session, transaction: number): Transaction | StoreFailure | null {
    if (transaction === 0) return null;
    return session.transactions.get(transaction) ?? fail('ENOENT');
  }

  /** The node at a path as the session sees it; remembers that a transaction looked. */
  private look(t: Transaction | null, path: string): StoreNode | null {
    const parts = splitPath(path);
    if (t && !t.seen.has(path)) t.seen.set(path, find(this.root, parts)?.generation ?? 0);
    return find(t?.root ?? this.root, parts);
  }

  private readable(session: Session, path: string, transaction: number): StoreNode | StoreFailure {
    const t = this.view(session, transaction);
    if (t instanceof StoreFailure) return t;
    const full = this.resolve(session, path);
    if (full instanceof StoreFailure) return full;
    const node = this.look(t, full);
    if (!node) {
      // Who may not read the parent does not learn what is missing.
      return this.parentReadable(session, t, full) ? fail('ENOENT') : fail('EACCES');
    }
    return this.access(node, session.domid).read ? node : fail('EACCES');
  }

  private parentReadable(session: Session, t: Transaction | null, path: string): boolean {
    const parts = splitPath(path);
    for (let n = parts.length - 1; n >= 0; n--) {
      const node = find(t?.root ?? this.root, parts.slice(0, n));
      if (node) return this.access(node, session.domid).read;
    }
    return true;
  }

  read(session: Session, path: string, transaction = 0): Uint8Array | StoreFailure {
    const node = this.readable(session, path, transaction);
    return node instanceof StoreFailure ? node : node.value;
  }

  directory(session: Session, path: string, transaction = 0): string[] | StoreFailure {
    const node = this.readable(session, path, transaction);
    return node instanceof StoreFailure ? node : [...node.children.keys()];
  }

  /** Generation of a directory, for XS_DIRECTORY_PART. */
  generation(session: Session, path: string, transaction = 0): number | StoreFailure {
    const node = this.readable(session, path, transaction);
    return node instanceof StoreFailure ? node : node.generation;
  }

  permissions(session: Session, path: string, transaction = 0): readonly Permission[] | StoreFailure {
    const node = this.readable(session, path, transaction);
    return node instanceof StoreFailure ? node : node.permissions;
  }

  private apply(t: Transaction | null, edit: (root: StoreNode) => StoreNode, change: Change): void {
    if (t) {
      t.root = edit(t.root);
      t.log.push(edit);
      t.changes.push(change);
    } else {
      this.root = edit(this.root);
      this.fire([change]);
    }
  }

  /** Makes sure every parent of a path exists; null when the session may not make one. */
  private makeParents(session: Session, t: Transaction | null, path: string): StoreFailure | null {
    const parts = splitPath(path);
    for (let n = 1; n < parts.length; n++) {
      const prefix = parts.slice(0, n);
      if (find(t?.root ?? this.root, prefix)) continue;
      const error = this.create(session, t, `/${prefix.join('/')}`, new Uint8Array(0));
      if (error) return error;
    }
    return null;
  }

  private create(session: Session, t: Transaction | null, path: string, value: Uint8Array): StoreFailure | null {
    const parts = splitPath(path);
    const parentPath = parts.length > 1 ? `/${parts.slice(0, -1).join('/')}` : '/';
    const parent = this.look(t, parentPath);
    if (!parent) return fail('ENOENT');
    if (!this.access(parent, session.domid).write) return fail('EACCES');
    if (session.domid !== 0 && this.nodesOf(session.domid, t) >= QUOTA.nodes) return fail('ENOSPC');
    // A new node inherits its parent's permissions, and belongs to who made it unless that is the control domain.
    const [first, ...rest] = parent.permissions;
    const permissions = session.domid === 0 ? parent.permissions : [{ ...first, domid: session.domid }, ...rest];
    const made = newNode(permissions, value);
    this.apply(t, (root) => replace(root, parts, made), { path, recursive: false });
    return null;
  }

  private nodesOf(domid: number, t: Transaction | null): number {
    const counts = new Map<number, number>();
    countOwners(t?.root ?? this.root, counts);
    return counts.get(domid) ?? 0;
  }

  write(session: Session, path: string, value: Uint8Array | string, transaction = 0): StoreFailure | null {
    const t = this.view(session, transaction);
    if (t instanceof StoreFailure) return t;
    const full = this.resolve(session, path);
    if (full instanceof StoreFailure) return full;
    const bytes = typeof value === 'string' ? this.encoder.encode(value) : value;
    if (session.domid !== 0 && bytes.length > QUOTA.nodeBytes) return fail('ENOSPC');
    const node = this.look(t, full);
    if (!node) return this.makeParents(session, t, full) ?? this.create(session, t, full, bytes);
    if (!this.access(node, session.domid).write) return fail('EACCES');
    const parts = splitPath(full);
    this.apply(t, (root) => edit(root, parts, (n) => withValue(n, bytes)), { path: full, recursive: false });
    return null;
  }

  mkdir(session: Session, path: string, transaction = 0): StoreFailure | null {
    const t = this.view(session, transaction);
    if (t instanceof StoreFailure) return t;
    const full = this.resolve(session, path);
    if (full instanceof StoreFailure) return full;
    if (this.look(t, full)) return null;
    return this.makeParents(session, t, full) ?? this.create(session, t, full, new Uint8Array(0));
  }

  remove(session: Session, path: string, transaction = 0): StoreFailure | null {
    const t = this.view(session, transaction);
    if (t instanceof StoreFailure) return t;
    const full = this.resolve(session, path);
    if (full instanceof StoreFailure) return full;
    if (full === '/') return fail('EINVAL');
    const node = this.look(t, full);
    const parts = splitPath(full);
    if (!node) return find(t?.root ?? this.root, parts.slice(0, -1)) ? null : fail('ENOENT');
    if (!this.access(node, session.domid).write) return fail('EACCES');
    this.apply(t, (root) => (find(root, parts) ? replace(root, parts, null) : root), { path: full, recursive: true });
    return null;
  }

  setPermissions(
    session: Session,
    path: string,
    permissions: readonly Permission[],
    transaction = 0,
  ): StoreFailure | null {
    const t = this.view(session, transaction);
    if (t instanceof StoreFailure) return t;
    const full = this.resolve(session, path);
    if (full instanceof StoreFailure) return full;
    if (permissions.length === 0 || (session.domid !== 0 && permissions.length > QUOTA.permissions))
      return fail('EINVAL');
    const node = this.look(t, full);
    if (!node) return fail('ENOENT');
    if (!this.access(node, session.domid).owner) return fail('EACCES');
    if (session.domid !== 0 && permissions[0].domid !== session.domid) return fail('EPERM');
    const parts = splitPath(full);
    this.apply(t, (root) => edit(root, parts, (n) => withPermissions(n, permissions)), {
      path: full,
      recursive: false,
    });
    return null;
  }

  begin(session: Session): number | StoreFailure {
    if (session.domid !== 0 && session.transactions.size >= QUOTA.transactions) return fail('ENOSPC');
    const id = this.nextTransaction++;
    if (this.nextTransaction > 0xffff_ffff) this.nextTransaction = 1;
    session.transactions.set(id, new Transaction(id, this.root));
    return id;
  }

  /** Ends a transaction. EAGAIN when something it looked at has changed meanwhile. */
  end(session: Session, id: number, commit: boolean): StoreFailure | null {
    const t = session.transactions.get(id);
    if (!t) return fail('ENOENT');
    session.transactions.delete(id);
    if (!commit) return null;
    for (const [path, generation] of t.seen)
      if ((find(this.root, splitPath(path))?.generation ?? 0) !== generation) return fail('EAGAIN');
    for (const apply of t.log) this.root = apply(this.root);
    this.fire(t.changes);
    return null;
  }

  // ---- watches

  addWatch(watch: Watch): StoreFailure | null {
    if (this.watches.some((w) => w.owner === watch.owner && w.path === watch.path && w.token === watch.token))
      return fail('EEXIST');
    if (watch.domid !== 0 && this.watches.filter((w) => w.owner === watch.owner).length >= QUOTA.watches)
      return fail('E2BIG');
    this.watches.push(watch);
    // A new watch fires at once, so that its owner looks for what is there already.
    watch.fire(watch.path.slice(watch.strip), watch.token);
    return null;
  }

  removeWatch(owner: object, path: string, token: string): StoreFailure | null {
    const i = this.watches.findIndex((w) => w.owner === owner && w.path === path && w.token === token);
    if (i < 0) return fail('ENOENT');
    this.watches.splice(i, 1);
    return null;
  }

  removeWatches(owner: object): void {
    this.watches = this.watches.filter((w) => w.owner !== owner);
  }

  /** Whether a domain watches exactly this path. */
  watchedBy(domid: number, path: string): boolean {
    return this.watches.some((w) => w.domid === domid && w.path === path);
  }

  private fire(changes: readonly Change[]): void {
    for (const { path, recursive } of changes)
      for (const w of [...this.watches]) {
        const below = path === w.path || path.startsWith(w.path === '/' ? '/' : `${w.path}/`);
        // Removing a subtree is seen by watches on what was inside it.
        const above = recursive && w.path.startsWith(`${path}/`);
        if (!below && !above) continue;
        if (w.domid !== 0 && !this.mayHear(w.domid, path)) continue;
        w.fire((below ? path : w.path).slice(w.strip), w.token);
      }
  }

  /** A domain hears of a node that it may read, or whose removal leaves a parent that it may read. */
  private mayHear(domid: number, path: string): boolean {
    const parts = splitPath(path);
    for (let n = parts.length; n >= 0; n--) {
      const node = find(this.root, parts.slice(0, n));
      if (node) return this.access(node, domid).read;
    }
    return false;
  }

  /** @introduceDomain and @releaseDomain. */
  fireSpecial(name: string): void {
    for (const w of [...this.watches]) if (w.path === name) w.fire(name, w.token);
  }

  // ---- for the control domain

  private readonly control = new Session(0);

  /** Text at a path, or null. */
  get(path: string): string | null {
    const value = this.read(this.control, path);
    return value instanceof StoreFailure ? null : this.decoder.decode(value);
  }
  /** The node itself, for looking at; null when there is none. */
  node(path: string): StoreNode | null {
    return find(this.root, splitPath(path));
  }
  list(path: string): string[] {
    const names = this.directory(this.control, path);
    return names instanceof StoreFailure ? [] : names;
  }
  set(path: string, value: string): void {
    this.write(this.control, path, value);
  }
  makeDirectory(path: string, permissions: readonly Permission[]): void {
    this.mkdir(this.control, path);
    this.setPermissions(this.control, path, permissions);
  }
  delete(path: string): void {
    this.remove(this.control, path);
  }
  /** Calls back at once and whenever something at or below `path` changes; returns how to stop. */
  watch(path: string, changed: (path: string) => void): () => void {
    const owner = {};
    this.addWatch({ owner, domid: 0, path, token: '', strip: 0, fire: changed });
    return () => this.removeWatches(owner);
  }
}

function edit(root: StoreNode, parts: readonly string[], change: (node: StoreNode) => StoreNode): StoreNode {
  const node = find(root, parts);
  return node ? replace(root, parts, change(node)) : root;
}
