// FIFO event channels: event words in guest pages, linked into 16 queues per vCPU whose heads are in control blocks
// (public/event_channel.h; the algorithm is the one of Xen's "FIFO-based event channel ABI" design document).
// Links are made here, unlinked by the guest. A queue whose tail is not LINKED is empty.

import { PAGE } from '../../machine/cpu/layout.ts';
import { Errno } from '../abi/errno.ts';
import type { Domain } from '../domain.ts';
import { FrameType } from '../memory/frame-table.ts';
import type { EventAbi } from './event-abi.ts';
import type { Port } from './port.ts';
import { frameAddress } from '../memory/frames.ts';

const PENDING = 0x8000_0000;
const MASKED = 0x4000_0000;
const LINKED = 0x2000_0000;
const BUSY = 0x1000_0000;
const LINK_MASK = 0x1_ffff;
const QUEUES = 16;
const WORDS_PER_PAGE = PAGE / 4;
const MAX_PORTS = 1 << 17;

interface ControlBlock {
  mfn: number;
  /** Byte address in host memory. */
  address: number;
  tails: Uint32Array;
}

export class FifoEvents implements EventAbi {
  readonly maxPorts = MAX_PORTS;
  private readonly d: Domain;
  readonly control: (ControlBlock | undefined)[] = [];
  readonly arrayMfns: number[] = [];

  constructor(d: Domain) {
    this.d = d;
  }

  /** Ports whose words exist. */
  get wordCount(): number {
    return this.arrayMfns.length * WORDS_PER_PAGE;
  }

  /** Maps a vCPU's control block. Holds a writable reference on the frame until the domain dies. */
  initControl(vcpu: number, mfn: number, offset: number): number {
    if (offset > PAGE - 72 || offset & 7) return -Errno.EINVAL;
    if (this.control[vcpu]) return -Errno.EINVAL;
    const error = this.d.host.types.getPageAndType(mfn, this.d.domid, FrameType.Writable);
    if (error) return error;
    this.control[vcpu] = { mfn, address: frameAddress(mfn) + offset, tails: new Uint32Array(QUEUES) };
    return 0;
  }

  /** Adds a page of event words. */
  expand(mfn: number): number {
    if (this.wordCount >= MAX_PORTS) return -Errno.ENOSPC;
    const error = this.d.host.types.getPageAndType(mfn, this.d.domid, FrameType.Writable);
    if (error) return error;
    const first = this.wordCount;
    this.arrayMfns.push(mfn);
    for (let port = first; port < this.wordCount && port < this.d.events.ports.length; port++) {
      const p = this.d.events.ports[port];
      if (p?.pendingEarly) {
        p.pendingEarly = false;
        this.setPending(port, p);
      }
    }
    return 0;
  }

  /** Gives its frames back. */
  release(): void {
    for (const c of this.control) if (c) this.d.host.types.putPageAndType(c.mfn);
    for (const mfn of this.arrayMfns) this.d.host.types.putPageAndType(mfn);
    this.control.length = 0;
    this.arrayMfns.length = 0;
  }

  /** u32 index in host memory of a port's word, or -1. */
  private word(port: number): number {
    const mfn = this.arrayMfns[port >>> 10];
    return mfn === undefined ? -1 : (frameAddress(mfn) >>> 2) + (port & (WORDS_PER_PAGE - 1));
  }

  /** A word of a guest's page changes. */
  private note(word: number): void {
    this.d.mem.noteWrite(word * 4 - frameAddress(0), 4);
  }

  setPending(port: number, p: Port): void {
    const w = this.word(port);
    if (w < 0) {
      p.pendingEarly = true;
      return;
    }
    const m = this.d.mem.u32;
    this.note(w);
    const was = m[w] & PENDING;
    m[w] |= PENDING;
    this.link(port, p, w);
    if (!was) this.d.checkPollers(port);
  }

  private link(port: number, p: Port, w: number): void {
    const m = this.d.mem.u32;
    if (m[w] & (MASKED | LINKED)) return;
    const c = this.control[p.vcpu];
    if (!c) return;
    const queue = p.priority;
    m[w] = (m[w] | LINKED) >>> 0;
    m[w] = (m[w] & ~LINK_MASK) >>> 0;
    let linked = false;
    const tail = c.tails[queue];
    if (tail && tail !== port) {
      const t = this.word(tail);
      if (t >= 0 && m[t] & LINKED) {
        this.note(t);
        m[t] = ((m[t] & ~(BUSY | LINK_MASK)) | port) >>> 0;
        linked = true;
      }
    }
    if (!linked) {
      this.note((c.address >>> 2) + 2 + queue);
      m[(c.address >>> 2) + 2 + queue] = port;
    }
    c.tails[queue] = port;
    p.lastVcpu = p.vcpu;
    p.lastPriority = queue;
    if (!linked) {
      const ready = c.address >>> 2;
      if ((m[ready] & (1 << queue)) === 0) {
        m[ready] |= 1 << queue;
        this.d.vcpus[p.vcpu].markEventsPending();
      }
    }
  }

  unmask(port: number, p: Port): void {
    const w = this.word(port);
    if (w < 0) return;
    const m = this.d.mem.u32;
    this.note(w);
    m[w] = (m[w] & ~MASKED) >>> 0;
    if (m[w] & PENDING) this.link(port, p, w);
  }

  clearPending(port: number): void {
    const w = this.word(port);
    if (w < 0) return;
    this.note(w);
    this.d.mem.u32[w] = (this.d.mem.u32[w] & ~PENDING) >>> 0;
  }

  isPending(port: number): boolean {
    const w = this.word(port);
    return w >= 0 && (this.d.mem.u32[w] & PENDING) !== 0;
  }

  isMasked(port: number): boolean {
    const w = this.word(port);
    return w < 0 || (this.d.mem.u32[w] & MASKED) !== 0;
  }

  /** Marks a port masked without notifying (used when the 2-level state is carried over). */
  mask(port: number): void {
    const w = this.word(port);
    if (w < 0) return;
    this.note(w);
    this.d.mem.u32[w] = (this.d.mem.u32[w] | MASKED) >>> 0;
  }

  setPriority(p: Port, priority: number): number {
    if (priority >= QUEUES) return -Errno.EINVAL;
    p.priority = priority;
    return 0;
  }
}
