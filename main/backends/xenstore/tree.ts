// The store's tree as immutable nodes: changing one makes new nodes on the path to the root, so a transaction's view is
// simply the root it began with.

/** Access of one domain to a node. The first entry names the owner, its access is what everyone else has. */
export interface Permission {
  domid: number;
  read: boolean;
  write: boolean;
}

export interface StoreNode {
  readonly value: Uint8Array;
  readonly children: ReadonlyMap<string, StoreNode>;
  readonly permissions: readonly Permission[];
  /** Changes with the node's value, permissions or list of children, not with what is below them. */
  readonly generation: number;
}

const EMPTY = new Uint8Array(0);
let generations = 0;

export function newNode(permissions: readonly Permission[], value: Uint8Array = EMPTY): StoreNode {
  return { value, children: new Map(), permissions, generation: ++generations };
}

/** Parts of an absolute path; the root has none. */
export function splitPath(path: string): string[] {
  return path === '/' ? [] : path.slice(1).split('/');
}

export function find(root: StoreNode, parts: readonly string[]): StoreNode | null {
  let node: StoreNode | undefined = root;
  for (const part of parts) {
    node = node.children.get(part);
    if (!node) return null;
  }
  return node;
}

/** A new root with `change` applied to the node at `parts` (null removes it). Missing parents must have been made before. */
export function replace(root: StoreNode, parts: readonly string[], node: StoreNode | null): StoreNode {
  if (parts.length === 0) return node ?? root;
  const [first, ...rest] = parts;
  const child = root.children.get(first);
  const children = new Map(root.children);
  if (rest.length === 0) {
    const structural = !child || !node;
    if (node) children.set(first, node);
    else children.delete(first);
    return { ...root, children, generation: structural ? ++generations : root.generation };
  }
  if (!child) return root;
  children.set(first, replace(child, rest, node));
  return { ...root, children };
}

export function withValue(node: StoreNode, value: Uint8Array): StoreNode {
  return { ...node, value, generation: ++generations };
}

export function withPermissions(node: StoreNode, permissions: readonly Permission[]): StoreNode {
  return { ...node, permissions, generation: ++generations };
}

/** Nodes in a subtree, by owner. */
export function countOwners(node: StoreNode, into: Map<number, number>): void {
  const owner = node.permissions[0].domid;
  into.set(owner, (into.get(owner) ?? 0) + 1);
  for (const child of node.children.values()) countOwners(child, into);
}
