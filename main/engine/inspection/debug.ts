// The debugger for the page. Steps and breakpoints go in between two epochs and are journalled; looking does not wait.

import type { Lab } from '../lab.ts';
import type { InspectionService } from './service-part.ts';

export function debugService(
  lab: Lab,
): InspectionService<
  'vcpus' | 'disassemble' | 'readMemory' | 'stack' | 'stepInstruction' | 'breakpoints' | 'setBreakpoint'
> {
  const { hosts } = lab;
  return {
    methods: {
      vcpus: ({ uuid }) => hosts.callOn(lab.domain(uuid), 'vcpus', {}),
      disassemble: ({ uuid, vcpu, address, count }) =>
        hosts.callOn(lab.domain(uuid), 'disassemble', { vcpu, address: address ?? null, count }),
      readMemory: ({ uuid, vcpu, address, bytes, space }) =>
        hosts.callOn(lab.domain(uuid), 'readMemory', { vcpu, address, bytes, space }),
      stack: ({ uuid, vcpu, entries }) => hosts.callOn(lab.domain(uuid), 'stack', { vcpu, entries }),
      stepInstruction: async ({ uuid, vcpu }) => {
        const d = lab.domain(uuid);
        const { report, ns } = await lab.atBoundary(async () => {
          const result = await hosts.callOn(d, 'stepInstruction', { vcpu });
          lab.onJournal({ at: lab.clock.now, kind: 'step-instruction', data: { uuid, vcpu } });
          return result;
        });
        // a stopped clock goes on by what the instruction cost; a running one does so by itself
        if (ns > 0 && !lab.clock.status.running) await lab.clock.step(ns);
        await lab.refresh();
        return report;
      },
      breakpoints: ({ uuid }) => hosts.callOn(lab.domain(uuid), 'breakpoints', {}),
      setBreakpoint: ({ uuid, address, on }) => {
        const d = lab.domain(uuid);
        return lab.atBoundary(async () => {
          await hosts.callOn(d, 'setBreakpoint', { address, on });
          lab.onJournal({ at: lab.clock.now, kind: 'breakpoint', data: { uuid, address, on } });
        });
      },
    },
    events: {},
  };
}
