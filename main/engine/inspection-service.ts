// Looking inside domains and hosts, as the lab service offers it.

import type { inspectionEvents, inspectionMethods } from '../../shared/inspection-service.ts';
import { debugService } from './inspection/debug.ts';
import { domainService } from './inspection/domains.ts';
import type { InspectionService } from './inspection/service-part.ts';
import { scheduleService } from './inspection/schedule.ts';
import { storeService } from './inspection/store.ts';
import { traceService } from './inspection/trace.ts';
import type { Lab } from './lab.ts';

/** The methods and events of shared/inspection-service.ts over one lab. */
export function inspectionService(
  lab: Lab,
): InspectionService<keyof typeof inspectionMethods, keyof typeof inspectionEvents> {
  const store = storeService(lab);
  const domains = domainService(lab);
  const schedule = scheduleService(lab);
  const trace = traceService(lab);
  const debug = debugService(lab);
  return {
    methods: {
      ...store.methods,
      ...domains.methods,
      ...schedule.methods,
      ...trace.methods,
      ...debug.methods,
    },
    events: {
      ...store.events,
      ...domains.events,
      ...schedule.events,
      ...trace.events,
      ...debug.events,
    },
  };
}
