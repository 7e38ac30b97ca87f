// Devices and frames of a domain for the page.

import type { Lab } from '../lab.ts';
import type { InspectionService } from './service-part.ts';

export function domainService(lab: Lab): InspectionService<'devices' | 'frames'> {
  return {
    methods: {
      devices: ({ uuid }) => lab.hosts.callOn(lab.domain(uuid), 'devices', {}),
      frames: ({ uuid, first, count }) => lab.hosts.callOn(lab.domain(uuid), 'frames', { first, count }),
    },
    events: {},
  };
}
