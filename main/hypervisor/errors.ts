// Our own broken invariant: the only thing the hypervisor throws. It stops the host loudly (main/engine reports it).

export class HypervisorBug extends Error {
  constructor(what: string) {
    super(`The hypervisor broke its own invariant: ${what}`);
    this.name = 'HypervisorBug';
  }
}

/** Throws HypervisorBug unless `condition` holds. Never use it on anything a guest controls. */
export function invariant(condition: boolean, what: string): asserts condition {
  if (!condition) throw new HypervisorBug(what);
}
