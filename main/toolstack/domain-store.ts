// What the toolstack writes into xenstore for a domain (docs/misc/xenstore-paths.pandoc).

import type { Store } from '../backends/xenstore/store.ts';
import type { Permission } from '../backends/xenstore/tree.ts';
import type { DomainSpec } from '../../shared/model.ts';
import type { Domain } from '../hypervisor/domain.ts';
import type { Rings } from './builder/domain-image.ts';

const none = (domid: number): Permission => ({ domid, read: false, write: false });
const readable = (domid: number): Permission => ({ domid, read: true, write: false });

export function domainPath(domid: number): string {
  return `/local/domain/${domid}`;
}

/** Directories that the guest owns; the rest of its tree it may only read. */
const GUEST_OWNED = [
  'device',
  'control/shutdown',
  'control/feature-poweroff',
  'control/feature-reboot',
  'control/feature-suspend',
  'control/sysrq',
  'data',
  'drivers',
  'feature',
  'attr',
  'error',
];

export function introduceDomain(store: Store, d: Domain, spec: DomainSpec, rings: Rings): void {
  const base = domainPath(d.domid);
  const readOnly = [none(0), readable(d.domid)];
  store.makeDirectory(base, readOnly);
  const put = (path: string, value: string | number) => store.set(`${base}/${path}`, String(value));
  const hex = [...d.uuid].map((b) => b.toString(16).padStart(2, '0')).join('');
  const uuid = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  store.makeDirectory(`/vm/${uuid}`, readOnly);
  store.set(`/vm/${uuid}/name`, spec.name);
  store.set(`/vm/${uuid}/uuid`, uuid);
  put('vm', `/vm/${uuid}`);
  put('name', spec.name);
  put('domid', d.domid);
  put('memory/static-max', spec.memoryMiB * 1024);
  put('memory/target', spec.memoryMiB * 1024);
  put('memory/videoram', 0);
  for (let i = 0; i < spec.vcpus; i++) put(`cpu/${i}/availability`, 'online');
  put('console/ring-ref', rings.consoleMfn);
  put('console/port', rings.consolePort);
  put('console/limit', 1048576);
  put('console/type', 'xenconsoled');
  put('store/ring-ref', rings.storeMfn);
  put('store/port', rings.storePort);
  put('control/platform-feature-multiprocessor-suspend', 1);
  put('control/platform-feature-xs_reset_watches', 1);
  for (const path of GUEST_OWNED) store.makeDirectory(`${base}/${path}`, [none(d.domid)]);
  store.fireSpecial('@introduceDomain');
}

export function releaseDomain(store: Store, domid: number): void {
  const vm = store.get(`${domainPath(domid)}/vm`);
  store.delete(domainPath(domid));
  if (vm) store.delete(vm);
  store.delete(`/local/domain/0/backend/vbd/${domid}`);
  store.delete(`/local/domain/0/backend/vif/${domid}`);
  store.fireSpecial('@releaseDomain');
}

/** The size that the guest's balloon driver aims at. */
export function requestMemory(store: Store, domid: number, memoryMiB: number): void {
  store.set(`${domainPath(domid)}/memory/target`, String(memoryMiB * 1024));
}

/** Whether the guest has a balloon driver: one that waits for another target. */
export function watchesMemory(store: Store, domid: number): boolean {
  return store.watchedBy(domid, `${domainPath(domid)}/memory/target`);
}

/** Which of its vCPUs the guest should use: the first `online` of `all`. */
export function requestVcpus(store: Store, domid: number, online: number, all: number): void {
  for (let i = 0; i < all; i++)
    store.set(`${domainPath(domid)}/cpu/${i}/availability`, i < online ? 'online' : 'offline');
}

/** Asks the guest; it answers by clearing the node and acting. */
export function requestShutdown(store: Store, domid: number, reason: 'poweroff' | 'reboot'): void {
  store.set(`${domainPath(domid)}/control/shutdown`, reason);
}
