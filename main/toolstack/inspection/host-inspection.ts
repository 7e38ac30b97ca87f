// Answers everything that can be asked of the inside of one host, whatever runs on it.

import type { NativeGuest } from '../native-guest.ts';
import type { XenHost } from '../xen-host.ts';
import { boardDevices } from './board-devices.ts';
import type { InspectionHandlers } from './calls.ts';
import { domainTarget, machineTarget } from './debug-target.ts';
import { Debugger } from './debugger.ts';
import { domainDevices } from './devices.ts';
import { bareFrames, domainFrames } from './frames.ts';
import { hostSchedule, scheduleTail } from './schedule.ts';
import { StoreInspection } from './store.ts';
import type { Symbols } from './symbols.ts';
import { traceRecords, traceTail } from './trace.ts';

/**
 * @param native the kernel on the bare machine that has this domid, or null
 * @param symbols of a domain's kernel, or null
 * @param stopped told when a breakpoint has paused a domain
 */
export function inspectHost(
  xen: XenHost,
  native: (domid: number) => NativeGuest | null,
  symbols: (domid: number) => Symbols | null,
  stopped: (domid: number) => void,
): InspectionHandlers {
  const debug = (domid: number): Debugger => {
    const bare = native(domid);
    return new Debugger(bare ? machineTarget(bare) : domainTarget(xen.entry(domid)), symbols(domid));
  };
  const store = new StoreInspection(xen.store);
  return {
    storeNode: ({ path }) => store.node(path),
    storeWrite: ({ path, value }) => store.write(path, value),
    storeRemove: ({ path }) => store.remove(path),
    storeWatch: ({ id, path }) => store.watch(id, path),
    storeChanges: ({ id }) => store.changes(id),
    storeUnwatch: ({ id }) => store.unwatch(id),
    devices: ({ domid }) => {
      const bare = native(domid);
      return bare
        ? boardDevices(bare.machine.board.getState(), bare.consoleBytes)
        : domainDevices(xen.entry(domid), xen.store);
    },
    frames: ({ domid, first, count }) => {
      const bare = native(domid);
      if (bare) return bareFrames(bare.machine.memory.ramBytes / 4096, first, count);
      const { domain, spec } = xen.entry(domid);
      return domainFrames(domain, spec.memoryMiB * 256, first, count);
    },
    // a bare machine has no hypervisor: its host's schedule and trace stay empty
    schedule: ({ from, to, limit }) => hostSchedule(xen.host, from, to, limit),
    scheduleTail: ({ after, limit }) => scheduleTail(xen.host, after, limit),
    setTracing: ({ recording }) => xen.host.trace.setRecording(recording),
    traceStatus: () => {
      const { recording, kept, lost } = xen.host.trace;
      return { recording, kept, lost };
    },
    traceRecords: (args) => traceRecords(xen.host.trace, args),
    traceTail: (args) => traceTail(xen.host.trace, args),
    vcpus: ({ domid }) => debug(domid).vcpus(),
    disassemble: (args) => debug(args.domid).disassemble(args),
    readMemory: (args) => debug(args.domid).memory(args),
    stack: (args) => debug(args.domid).stack(args),
    stepInstruction: ({ domid, vcpu }) => debug(domid).step(vcpu),
    breakpoints: ({ domid }) => debug(domid).breakpoints(),
    setBreakpoint: ({ domid, address, on }) => {
      if (!native(domid)) xen.entry(domid).domain.onBreakpoint = () => stopped(domid);
      debug(domid).setBreakpoint(address, on);
    },
  };
}
