// Looking inside domains and hosts, as the lab service offers it.

import type { inspectionEvents, inspectionMethods } from '../../shared/inspection-service.ts';
import { domainService } from './inspection/domains.ts';
import type { InspectionService } from './inspection/service-part.ts';
import { scheduleService } from './inspection/schedule.ts';
import { storeService } from './inspection/store.ts';
import { traceService } from './inspection/trace.ts';
import type { Lab } from './lab.ts';
import { notYet } from './not-yet.ts';

/** The methods and events of shared/inspection-service.ts over one lab. */
export function inspectionService(
  lab: Lab,
): InspectionService<keyof typeof inspectionMethods, keyof typeof inspectionEvents> {
  const store = storeService(lab);
  const domains = domainService(lab);
  const schedule = scheduleService(lab);
  const trace = traceService(lab);
  return {
    methods: {
      ...store.methods,
      ...domains.methods,
      ...schedule.methods,
      ...trace.methods,
      vcpus: () => notYet('vcpus'),
      disassemble: () => notYet('disassemble'),
      readMemory: () => notYet('readMemory'),
      stack: () => notYet('stack'),
      stepInstruction: () => notYet('stepInstruction'),
      breakpoints: () => notYet('breakpoints'),
      setBreakpoint: () => notYet('setBreakpoint'),
    },
    events: {
      ...store.events,
      ...domains.events,
      ...schedule.events,
      ...trace.events,
    },
  };
}
