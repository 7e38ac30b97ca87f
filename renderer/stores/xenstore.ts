// A host's xenstore as far as the inspector has unfolded it. Nodes are read when they are opened and read again when the store
// says that they changed; nobody looking, nothing is subscribed to.
import { defineStore } from 'pinia';
import { computed, ref, shallowRef } from 'vue';
import { toSentences } from '../../shared/errors.ts';
import type { ErrorSentences } from '../../shared/errors.ts';
import type { StoreNode } from '../../shared/inspection-service.ts';
import { nextFrame } from '../composables/frame.ts';
import { childPath, staleNodes, storeRows } from '../inspector/store-tree.ts';
import { useSession } from './session.ts';

export interface StoreChange {
  readonly id: number;
  readonly path: string;
  readonly value: string | undefined;
}

const CHANGES_KEPT = 100;
const FRESH_MS = 1500;

export const useXenstore = defineStore('xenstore', () => {
  const session = useSession();
  const host = ref('');
  const root = ref('/');
  const nodes = shallowRef<ReadonlyMap<string, StoreNode>>(new Map());
  const open = shallowRef<ReadonlySet<string>>(new Set());
  const fresh = shallowRef<ReadonlySet<string>>(new Set());
  const refusal = shallowRef<ErrorSentences>();
  const watched = ref<string>();
  const changes = shallowRef<readonly StoreChange[]>([]);
  let stop: (() => void) | undefined;
  let nextChange = 1;

  const rows = computed(() => storeRows(root.value, nodes.value, open.value));

  /** Reads a node and those of its children that have no value yet, so that rows can show them. */
  async function read(path: string, withChildren: boolean): Promise<StoreNode | undefined> {
    const at = host.value;
    try {
      const node = await session.call((engine) => engine.storeNode({ host: at, path }));
      if (at !== host.value) return undefined;
      nodes.value = new Map(nodes.value).set(path, node);
      if (path === root.value) refusal.value = undefined;
      if (withChildren) await readAll(node.children.map((child) => childPath(path, child)));
      return node;
    } catch (thrown) {
      if (path === root.value) refusal.value = toSentences(thrown);
      const rest = new Map(nodes.value);
      rest.delete(path);
      nodes.value = rest;
      return undefined;
    }
  }

  async function readAll(paths: readonly string[]): Promise<void> {
    const at = host.value;
    const read = await Promise.allSettled(
      paths.map((path) => session.call((engine) => engine.storeNode({ host: at, path }))),
    );
    if (at !== host.value) return;
    const next = new Map(nodes.value);
    read.forEach((answer, i) => {
      if (answer.status === 'fulfilled') next.set(paths[i], answer.value);
      else next.delete(paths[i]);
    });
    nodes.value = next;
  }

  async function changed(paths: readonly string[]): Promise<void> {
    const stale = staleNodes(paths, nodes.value);
    await readAll([...stale]);
    const unfolded = [...open.value].flatMap((path) =>
      (nodes.value.get(path)?.children ?? []).map((child) => childPath(path, child)),
    );
    await readAll(unfolded.filter((path) => !nodes.value.has(path)));
    fresh.value = new Set([...fresh.value, ...paths]);
    setTimeout(() => {
      const left = new Set(fresh.value);
      for (const path of paths) left.delete(path);
      fresh.value = left;
    }, FRESH_MS);
    const under = watched.value;
    if (under === undefined) return;
    const told = paths
      .filter((path) => path === under || path.startsWith(`${under}/`))
      .map((path) => ({ id: nextChange++, path, value: nodes.value.get(path)?.value }));
    changes.value = [...told.reverse(), ...changes.value].slice(0, CHANGES_KEPT);
  }

  /** Looks at a part of a host's store, or at nothing. */
  function look(at: { host: string; root: string } | undefined): void {
    stop?.();
    stop = undefined;
    if (at?.host !== host.value || at.root !== root.value) {
      nodes.value = new Map();
      open.value = new Set();
      watched.value = undefined;
      changes.value = [];
    }
    refusal.value = undefined;
    const client = session.client;
    if (!at || !client) return;
    host.value = at.host;
    root.value = at.root;
    open.value = new Set([...open.value, at.root]);
    void read(at.root, true);
    stop = client.on(
      'storeChanged',
      { host: at.host, path: at.root },
      (paths) => nextFrame(() => void changed(paths)),
      (error) => (refusal.value = error.sentences),
    );
  }

  async function toggle(path: string, wanted?: boolean): Promise<void> {
    const next = new Set(open.value);
    if (wanted ?? !next.has(path)) next.add(path);
    else next.delete(path);
    open.value = next;
    if (next.has(path)) await read(path, true);
  }

  const write = (path: string, value: string) =>
    session.act((engine) => engine.storeWrite({ host: host.value, path, value }));
  const remove = (path: string) => session.act((engine) => engine.storeRemove({ host: host.value, path }));

  function watch(path: string | undefined): void {
    watched.value = path;
    changes.value = [];
  }

  return { rows, nodes, fresh, refusal, watched, changes, look, toggle, write, remove, watch };
});
