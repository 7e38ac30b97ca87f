// An HVM domain's second-level table: guest frame number -> machine frame number, in chunks that exist on demand.
// Invariant: every RAM entry names a frame that the domain owns or holds through a grant; a device entry names a frame
// that the machine treats as MMIO.

const CHUNK = 1024;
/** Guest-physical space: 4 GiB. */
export const MAX_GFN = 1 << 20;

export class P2m {
  private readonly chunks: (Int32Array | undefined)[] = [];
  /** Entries present. */
  count = 0;

  /** Machine frame of a guest frame, or -1. */
  get(gfn: number): number {
    const chunk = this.chunks[gfn >>> 10];
    return chunk ? chunk[gfn & (CHUNK - 1)] : -1;
  }

  set(gfn: number, mfn: number): void {
    const chunk = (this.chunks[gfn >>> 10] ??= new Int32Array(CHUNK).fill(-1));
    const was = chunk[gfn & (CHUNK - 1)];
    chunk[gfn & (CHUNK - 1)] = mfn;
    this.count += (mfn >= 0 ? 1 : 0) - (was >= 0 ? 1 : 0);
  }

  /** Calls back for every entry, ascending. */
  forEach(visit: (gfn: number, mfn: number) => void): void {
    this.chunks.forEach((chunk, c) => {
      if (chunk) for (let i = 0; i < CHUNK; i++) if (chunk[i] >= 0) visit(c * CHUNK + i, chunk[i]);
    });
  }
}
