// Looking inside domains and hosts, as the lab service offers it.

import type { LabImplementation } from '../../shared/lab-service.ts';
import type { inspectionEvents, inspectionMethods } from '../../shared/inspection-service.ts';
import type { Lab } from './lab.ts';
import { notYet } from './not-yet.ts';

/** The methods and events of shared/inspection-service.ts over one lab. */
export function inspectionService(lab: Lab): {
  methods: Pick<LabImplementation['methods'], keyof typeof inspectionMethods>;
  events: Pick<LabImplementation['events'], keyof typeof inspectionEvents>;
} {
  void lab;
  return {
    methods: {
      storeNode: () => notYet('storeNode'),
      storeWrite: () => notYet('storeWrite'),
      storeRemove: () => notYet('storeRemove'),
      devices: () => notYet('devices'),
      frames: () => notYet('frames'),
      schedule: () => notYet('schedule'),
      traceStatus: () => notYet('traceStatus'),
      setTracing: () => notYet('setTracing'),
      trace: () => notYet('trace'),
      exportTrace: () => notYet('exportTrace'),
      vcpus: () => notYet('vcpus'),
      disassemble: () => notYet('disassemble'),
      readMemory: () => notYet('readMemory'),
      stack: () => notYet('stack'),
      stepInstruction: () => notYet('stepInstruction'),
      breakpoints: () => notYet('breakpoints'),
      setBreakpoint: () => notYet('setBreakpoint'),
    },
    events: {
      storeChanged: () => notYet('storeChanged'),
      trace: () => notYet('trace'),
      schedule: () => notYet('schedule'),
    },
  };
}
