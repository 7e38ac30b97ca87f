// XenStore for the page: browse, watch, edit.

import type { Lab } from '../lab.ts';
import { poll } from './poll.ts';
import type { InspectionService } from './service-part.ts';

let nextWatch = 1;

export function storeService(lab: Lab): InspectionService<'storeNode' | 'storeWrite' | 'storeRemove', 'storeChanged'> {
  const proxy = (host: string) => lab.hosts.get(host).proxy;
  return {
    methods: {
      storeNode: ({ host, path }) => proxy(host).call('storeNode', { path }),
      storeWrite: ({ host, path, value }) =>
        lab.atBoundary(async () => {
          await proxy(host).call('storeWrite', { path, value });
          lab.onJournal({ at: lab.clock.now, kind: 'store-write', data: { host, path, value } });
        }),
      storeRemove: ({ host, path }) =>
        lab.atBoundary(async () => {
          await proxy(host).call('storeRemove', { path });
          lab.onJournal({ at: lab.clock.now, kind: 'store-remove', data: { host, path } });
        }),
    },
    events: {
      storeChanged: ({ host, path }, send) => {
        const id = nextWatch++;
        let watched = proxy(host);
        const begin = (): Promise<void> => watched.call('storeWatch', { id, path });
        void begin().catch(() => {}); // a wrong path hears nothing
        const stop = poll(async () => {
          const now = proxy(host);
          // the host was lost and started again: its store is a new one
          if (now !== watched) {
            watched = now;
            await begin();
          }
          const paths = await watched.call('storeChanges', { id });
          if (paths.length) send(paths);
        });
        return () => {
          stop();
          void watched.call('storeUnwatch', { id }).catch(() => {}); // the host is gone, and the watch with it
        };
      },
    },
  };
}
