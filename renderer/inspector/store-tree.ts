// The part of a host's xenstore that is unfolded in the window: nodes by path, which are open, and the rows they make.
// Invariant: what is shown was read from the store; a change that is told is read again, never assumed.
import type { StoreNode } from '../../shared/inspection-service.ts';

export interface StoreRow {
  readonly path: string;
  readonly name: string;
  readonly depth: number;
  readonly value: string | undefined;
  readonly expandable: boolean;
  readonly expanded: boolean;
  /** Place among its siblings, for assistive technology. */
  readonly position: number;
  readonly siblings: number;
}

export const childPath = (path: string, name: string): string => (path === '/' ? `/${name}` : `${path}/${name}`);
export const parentPath = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/';

/** The rows from `root` down, depth first, as far as nodes are open and known. */
export function storeRows(root: string, nodes: ReadonlyMap<string, StoreNode>, open: ReadonlySet<string>): StoreRow[] {
  const rows: StoreRow[] = [];
  const visit = (path: string, name: string, depth: number, position: number, siblings: number): void => {
    const node = nodes.get(path);
    const expanded = open.has(path) && node !== undefined;
    rows.push({
      path,
      name,
      depth,
      value: node?.value,
      expandable: node === undefined || node.children.length > 0,
      expanded,
      position,
      siblings,
    });
    if (!expanded) return;
    node.children.forEach((child, i) => visit(childPath(path, child), child, depth + 1, i + 1, node.children.length));
  };
  visit(root, root, 0, 1, 1);
  return rows;
}

/**
 * Which known nodes must be read again when these paths changed: the paths themselves, and the parents, whose list of children
 * may be another now.
 */
export function staleNodes(changed: readonly string[], nodes: ReadonlyMap<string, StoreNode>): Set<string> {
  const stale = new Set<string>();
  for (const path of changed) {
    for (const candidate of [path, parentPath(path)]) if (nodes.has(candidate)) stale.add(candidate);
    for (const known of nodes.keys()) if (known.startsWith(`${path}/`)) stale.add(known);
  }
  return stale;
}
