// The shape of one part of the inspection service: some of its methods and events.

import type { inspectionEvents, inspectionMethods } from '../../../shared/inspection-service.ts';
import type { LabImplementation } from '../../../shared/lab-service.ts';

export interface InspectionService<
  M extends keyof typeof inspectionMethods,
  E extends keyof typeof inspectionEvents = never,
> {
  methods: Pick<LabImplementation['methods'], M>;
  events: Pick<LabImplementation['events'], E>;
}
