// The schedule of a host for the page: slices of a stretch of lab time, and new ones as they end.

import type { ScheduleSlice } from '../../../shared/inspection-service.ts';
import type { HostSlice } from '../../toolstack/inspection/calls.ts';
import type { LabHost } from '../hosts.ts';
import type { Lab } from '../lab.ts';
import { poll } from './poll.ts';
import type { InspectionService } from './service-part.ts';

/** Most slices in one message. */
const MESSAGE_SLICES = 2_000;

function named(lab: Lab, h: LabHost, slices: HostSlice[]): ScheduleSlice[] {
  return slices.flatMap(({ domid, ...slice }) => {
    const uuid = lab.hosts.uuidOf(h, domid);
    return uuid === null ? [] : [{ ...slice, host: h.spec.name, uuid }];
  });
}

export function scheduleService(lab: Lab): InspectionService<'schedule', 'schedule'> {
  return {
    methods: {
      schedule: async ({ host, from, to, limit }) => {
        const h = lab.hosts.get(host);
        return named(lab, h, await h.proxy.call('schedule', { from, to, limit }));
      },
    },
    events: {
      schedule: ({ host }, send) => {
        lab.hosts.get(host);
        let after: number | null = null;
        return poll(async () => {
          const h = lab.hosts.get(host);
          // the first question only finds out where the end is
          const limit: number = after === null ? 0 : MESSAGE_SLICES;
          const { slices, ended } = await h.proxy.call('scheduleTail', { after: after ?? 0, limit });
          after = ended;
          if (slices.length) send(named(lab, h, slices));
        });
      },
    },
  };
}
