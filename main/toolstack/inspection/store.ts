// Browsing, watching and editing a host's xenstore, as domain 0 would.
// Invariant: nodes that carry a protocol between a guest and a backend are shown and not written: the lab would break it.

import { BulkheadError } from '../../../shared/errors.ts';
import type { StoreNode } from '../../../shared/inspection-service.ts';
import { StoreFailure, Session, type Store } from '../../backends/xenstore/store.ts';
import type { Permission } from '../../backends/xenstore/tree.ts';

/** Paths at or below which drivers, consoles and the toolstack talk. Everything else may be edited. */
const PROTOCOL = [
  /^\/$/,
  /^\/local(\/domain(\/\d+)?)?$/,
  /^\/local\/domain\/\d+\/(device|backend|console|store|drivers|domid|vm|name)(\/|$)/,
  /^\/local\/domain\/\d+\/control\/(platform-)?feature-/,
  /^\/vm(\/[^/]+(\/uuid)?)?$/,
];

/** Whether the lab may write a node without breaking a protocol that is running. */
export const isEditable = (path: string): boolean => !PROTOCOL.some((p) => p.test(path));

/** As xenstore-ls -p prints them: `n0,r3`. */
const permissionText = (p: Permission): string => `${p.read ? (p.write ? 'b' : 'r') : p.write ? 'w' : 'n'}${p.domid}`;

const utf8 = new TextDecoder('utf-8', { fatal: true });
/** Text where the bytes are UTF-8 without control characters, else each odd byte as \xNN. */
function valueText(bytes: Uint8Array): string {
  try {
    const text = utf8.decode(bytes);
    if (!/[\u0000-\u0008\u000b-\u001f\u007f]/.test(text)) return text;
  } catch {
    // not UTF-8
  }
  return [...bytes]
    .map((b) =>
      b >= 0x20 && b < 0x7f && b !== 0x5c ? String.fromCharCode(b) : `\\x${b.toString(16).padStart(2, '0')}`,
    )
    .join('');
}

export class StoreInspection {
  readonly #store: Store;
  readonly #control = new Session(0);
  readonly #watches = new Map<number, { changed: Set<string>; stop: () => void }>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** @throws BulkheadError not-found */
  node(path: string): StoreNode {
    const full = this.#resolve(path);
    const node = this.#store.node(full);
    if (!node)
      throw new BulkheadError({
        code: 'not-found',
        what: `There is no node ${full}.`,
        why: 'It was removed, or it never existed.',
        action: 'Look at its parent.',
        field: 'path',
      });
    return {
      path: full,
      value: valueText(node.value),
      children: [...node.children.keys()].sort(),
      permissions: node.permissions.map(permissionText).join(','),
      editable: isEditable(full),
    };
  }

  /** Writes a node and makes the missing ones above it. @throws BulkheadError not-possible-now, invalid-argument */
  write(path: string, value: string): void {
    const full = this.#editable(path);
    this.#check(full, this.#store.write(this.#control, full, value));
  }
  /** Removes a node and what is below it. @throws BulkheadError not-possible-now, not-found */
  remove(path: string): void {
    const full = this.#editable(path);
    this.node(full);
    this.#check(full, this.#store.remove(this.#control, full));
  }

  watch(id: number, path: string): void {
    this.unwatch(id);
    const changed = new Set<string>();
    const stop = this.#store.watch(this.#resolve(path), (at) => changed.add(at));
    // a watch fires once when it is set
    changed.clear();
    this.#watches.set(id, { changed, stop });
  }
  changes(id: number): string[] {
    const changed = this.#watches.get(id)?.changed;
    const paths = [...(changed ?? [])];
    changed?.clear();
    return paths;
  }
  unwatch(id: number): void {
    this.#watches.get(id)?.stop();
    this.#watches.delete(id);
  }

  #resolve(path: string): string {
    const full = this.#store.resolve(this.#control, path);
    if (full instanceof StoreFailure || !path.startsWith('/'))
      throw new BulkheadError({
        code: 'invalid-argument',
        what: `${path} is not a path of xenstore.`,
        why: 'A path begins with / and its names have letters, digits and - _ @ only.',
        action: 'Correct it.',
        field: 'path',
      });
    return full;
  }
  #editable(path: string): string {
    const full = this.#resolve(path);
    if (!isEditable(full))
      throw new BulkheadError({
        code: 'not-possible-now',
        what: `${full} is not written.`,
        why: 'A driver or the toolstack talks to the guest by it; another value would break what runs.',
        action: 'Use the commands for devices, or write below data.',
        field: 'path',
      });
    return full;
  }
  #check(path: string, failure: StoreFailure | null): void {
    if (failure)
      throw new BulkheadError({
        code: 'not-possible-now',
        what: `${path} was not changed.`,
        why: `xenstore answered ${failure.error}.`,
        action: 'Look at its permissions.',
        field: 'path',
      });
  }
}
