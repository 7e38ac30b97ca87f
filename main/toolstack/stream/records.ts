// The records of the libxc stream: numbers, typed forms, and the bytes of their bodies (docs/specs/libxc-migration-stream.pandoc,
// version 3). Invariant: decodeBody accepts exactly what encodeBody can make, plus what the format allows others to make.

import { malformed } from './errors.ts';

/** Record numbers. */
export const RecordNumber = {
  END: 0x0,
  PAGE_DATA: 0x1,
  X86_PV_INFO: 0x2,
  X86_PV_P2M_FRAMES: 0x3,
  X86_PV_VCPU_BASIC: 0x4,
  X86_PV_VCPU_EXTENDED: 0x5,
  X86_PV_VCPU_XSAVE: 0x6,
  SHARED_INFO: 0x7,
  X86_TSC_INFO: 0x8,
  HVM_CONTEXT: 0x9,
  HVM_PARAMS: 0xa,
  TOOLSTACK: 0xb,
  X86_PV_VCPU_MSRS: 0xc,
  VERIFY: 0xd,
  CHECKPOINT: 0xe,
  CHECKPOINT_DIRTY_PFN_LIST: 0xf,
  STATIC_DATA_END: 0x10,
  X86_CPUID_POLICY: 0x11,
  X86_MSR_POLICY: 0x12,
} as const;
export type RecordName = keyof typeof RecordNumber;
/** A record with this bit may be skipped by who does not know it. */
export const OPTIONAL_BIT = 0x8000_0000;

const NAMES = new Map<number, RecordName>(
  Object.entries(RecordNumber).map(([name, number]) => [number, name as RecordName]),
);
/** Name of a record number, or its hexadecimal digits. */
export function recordName(number: number): string {
  const known = NAMES.get(number);
  if (known) return known;
  return number >= OPTIONAL_BIT ? `optional record 0x${number.toString(16)}` : `record 0x${number.toString(16)}`;
}

/** Page types of PAGE_DATA (XEN_DOMCTL_PFINFO_* >> 28). The low four are levels of page tables; PIN is added to a pinned one. */
export const PageType = {
  Normal: 0,
  L1: 1,
  L2: 2,
  L3: 3,
  L4: 4,
  Pin: 8,
  Broken: 0xd,
  /** Exists, contents do not matter. */
  AllocateOnly: 0xe,
  /** Does not exist. */
  Absent: 0xf,
} as const;
/** Whether a page of this type carries its 4096 bytes. */
export const hasContents = (type: number): boolean => type < PageType.Broken;

export const PAGE_BYTES = 4096;
/** Most pages in one PAGE_DATA record (MAX_BATCH_SIZE). */
export const MAX_BATCH = 1024;

export interface PageData {
  readonly type: 'PAGE_DATA';
  readonly pfns: readonly number[];
  /** PageType of each. */
  readonly types: readonly number[];
  /** 4096 bytes for each page with contents, in order. */
  readonly data: Uint8Array;
}
export interface VcpuRecord {
  readonly type: 'X86_PV_VCPU_BASIC' | 'X86_PV_VCPU_EXTENDED' | 'X86_PV_VCPU_XSAVE' | 'X86_PV_VCPU_MSRS';
  readonly vcpu: number;
  readonly context: Uint8Array;
}
export interface CpuidLeaf {
  leaf: number;
  subleaf: number;
  a: number;
  b: number;
  c: number;
  d: number;
}
export type LibxcRecord =
  | { readonly type: 'END' | 'VERIFY' | 'CHECKPOINT' | 'STATIC_DATA_END' }
  | PageData
  | { readonly type: 'X86_PV_INFO'; readonly guestWidth: 4 | 8; readonly ptLevels: 3 | 4 }
  | {
      readonly type: 'X86_PV_P2M_FRAMES';
      /** First and last guest frame that the listed frames of the guest's own list describe. */
      readonly startPfn: number;
      readonly endPfn: number;
      readonly frames: readonly number[];
    }
  | VcpuRecord
  | { readonly type: 'SHARED_INFO'; readonly page: Uint8Array }
  | {
      readonly type: 'X86_TSC_INFO';
      readonly mode: number;
      readonly khz: number;
      readonly nsec: bigint;
      readonly incarnation: number;
    }
  | { readonly type: 'HVM_CONTEXT'; readonly context: Uint8Array }
  | { readonly type: 'HVM_PARAMS'; readonly params: readonly (readonly [index: number, value: bigint])[] }
  | { readonly type: 'X86_CPUID_POLICY'; readonly leaves: readonly CpuidLeaf[] }
  | { readonly type: 'X86_MSR_POLICY'; readonly msrs: readonly { index: number; flags: number; value: bigint }[] }
  /** Known to others: TOOLSTACK, CHECKPOINT_DIRTY_PFN_LIST, and records with the optional bit. */
  | { readonly type: 'OTHER'; readonly number: number; readonly body: Uint8Array };

/** The record's number. */
export function numberOf(r: LibxcRecord): number {
  return r.type === 'OTHER' ? r.number : RecordNumber[r.type];
}

/** The body without padding. */
export function encodeBody(r: LibxcRecord): Uint8Array {
  switch (r.type) {
    case 'END':
    case 'VERIFY':
    case 'CHECKPOINT':
    case 'STATIC_DATA_END':
      return new Uint8Array(0);
    case 'PAGE_DATA': {
      const body = new Uint8Array(8 + r.pfns.length * 8 + r.data.length);
      const view = new DataView(body.buffer);
      view.setUint32(0, r.pfns.length, true);
      r.pfns.forEach((pfn, i) => {
        view.setUint32(8 + i * 8, pfn, true);
        view.setUint32(12 + i * 8, (r.types[i]! << 28) >>> 0, true);
      });
      body.set(r.data, 8 + r.pfns.length * 8);
      return body;
    }
    case 'X86_PV_INFO':
      return Uint8Array.of(r.guestWidth, r.ptLevels, 0, 0, 0, 0, 0, 0);
    case 'X86_PV_P2M_FRAMES': {
      const view = new DataView(new ArrayBuffer(8 + r.frames.length * 8));
      view.setUint32(0, r.startPfn, true);
      view.setUint32(4, r.endPfn, true);
      r.frames.forEach((pfn, i) => view.setBigUint64(8 + i * 8, BigInt(pfn), true));
      return new Uint8Array(view.buffer);
    }
    case 'X86_PV_VCPU_BASIC':
    case 'X86_PV_VCPU_EXTENDED':
    case 'X86_PV_VCPU_XSAVE':
    case 'X86_PV_VCPU_MSRS': {
      const body = new Uint8Array(8 + r.context.length);
      new DataView(body.buffer).setUint32(0, r.vcpu, true);
      body.set(r.context, 8);
      return body;
    }
    case 'SHARED_INFO':
      return r.page;
    case 'X86_TSC_INFO': {
      const view = new DataView(new ArrayBuffer(24));
      view.setUint32(0, r.mode, true);
      view.setUint32(4, r.khz, true);
      view.setBigUint64(8, r.nsec, true);
      view.setUint32(16, r.incarnation, true);
      return new Uint8Array(view.buffer);
    }
    case 'HVM_CONTEXT':
      return r.context;
    case 'HVM_PARAMS': {
      const view = new DataView(new ArrayBuffer(8 + r.params.length * 16));
      view.setUint32(0, r.params.length, true);
      r.params.forEach(([index, value], i) => {
        view.setBigUint64(8 + i * 16, BigInt(index), true);
        view.setBigUint64(16 + i * 16, value, true);
      });
      return new Uint8Array(view.buffer);
    }
    case 'X86_CPUID_POLICY': {
      const words = r.leaves.flatMap((l) => [l.leaf, l.subleaf, l.a, l.b, l.c, l.d]);
      const view = new DataView(new ArrayBuffer(words.length * 4));
      words.forEach((w, i) => view.setUint32(i * 4, w, true));
      return new Uint8Array(view.buffer);
    }
    case 'X86_MSR_POLICY': {
      const view = new DataView(new ArrayBuffer(r.msrs.length * 16));
      r.msrs.forEach((m, i) => {
        view.setUint32(i * 16, m.index, true);
        view.setUint32(i * 16 + 4, m.flags, true);
        view.setBigUint64(i * 16 + 8, m.value, true);
      });
      return new Uint8Array(view.buffer);
    }
    case 'OTHER':
      return r.body;
  }
}

/**
 * A record from its number and body. `index` is its place in the stream, for the message.
 * @throws BulkheadError stream-corrupt or stream-unsupported with the record and the reason
 */
export function decodeBody(number: number, body: Uint8Array, version: number, index: number): LibxcRecord {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const bad = (reason: string) => malformed(index, recordName(number), reason);
  const need = (bytes: number) => {
    if (body.length !== bytes) throw bad(`it has ${body.length} bytes where ${bytes} belong`);
  };
  const reserved = (at: number) => {
    if (view.getUint32(at, true) !== 0) throw bad('a reserved field is not zero');
  };
  const type = NAMES.get(number);
  switch (type) {
    case 'END':
    case 'VERIFY':
    case 'CHECKPOINT':
      need(0);
      return { type };
    case 'STATIC_DATA_END':
      need(0);
      if (version < 3) throw bad('streams of version 2 have no such record');
      return { type };
    case 'PAGE_DATA':
      return pageData(body, view, bad);
    case 'X86_PV_INFO': {
      need(8);
      const [width, levels] = body;
      if ((width !== 4 && width !== 8) || (levels !== 3 && levels !== 4))
        throw bad(`a guest of width ${width} with ${levels} levels of page tables does not exist`);
      reserved(4);
      return { type, guestWidth: width, ptLevels: levels };
    }
    case 'X86_PV_P2M_FRAMES': {
      if (body.length < 8 || body.length % 8) throw bad('its length is not a multiple of 8');
      const frames: number[] = [];
      for (let at = 8; at < body.length; at += 8) {
        const frame = view.getBigUint64(at, true);
        if (frame > 0xffff_ffffn) throw bad(`frame 0x${frame.toString(16)} is beyond any guest's memory`);
        frames.push(Number(frame));
      }
      return { type, startPfn: view.getUint32(0, true), endPfn: view.getUint32(4, true), frames };
    }
    case 'X86_PV_VCPU_BASIC':
    case 'X86_PV_VCPU_EXTENDED':
    case 'X86_PV_VCPU_XSAVE':
    case 'X86_PV_VCPU_MSRS':
      if (body.length < 8) throw bad('it is shorter than its header');
      reserved(4);
      return { type, vcpu: view.getUint32(0, true), context: body.slice(8) };
    case 'SHARED_INFO':
      need(PAGE_BYTES);
      return { type, page: body.slice() };
    case 'X86_TSC_INFO':
      need(24);
      reserved(20);
      return {
        type,
        mode: view.getUint32(0, true),
        khz: view.getUint32(4, true),
        nsec: view.getBigUint64(8, true),
        incarnation: view.getUint32(16, true),
      };
    case 'HVM_CONTEXT':
      if (body.length === 0) throw bad('it is empty');
      return { type, context: body.slice() };
    case 'HVM_PARAMS': {
      if (body.length < 8) throw bad('it is shorter than its header');
      const count = view.getUint32(0, true);
      reserved(4);
      need(8 + count * 16);
      const params: [number, bigint][] = [];
      for (let i = 0; i < count; i++)
        params.push([Number(view.getBigUint64(8 + i * 16, true)), view.getBigUint64(16 + i * 16, true)]);
      return { type, params };
    }
    case 'X86_CPUID_POLICY': {
      if (version < 3) throw bad('streams of version 2 have no such record');
      if (body.length === 0 || body.length % 24) throw bad('its length is not a multiple of 24');
      const leaves: CpuidLeaf[] = [];
      for (let at = 0; at < body.length; at += 24) {
        const [leaf, subleaf, a, b, c, d] = [0, 4, 8, 12, 16, 20].map((o) => view.getUint32(at + o, true));
        leaves.push({ leaf: leaf!, subleaf: subleaf!, a: a!, b: b!, c: c!, d: d! });
      }
      return { type, leaves };
    }
    case 'X86_MSR_POLICY': {
      if (version < 3) throw bad('streams of version 2 have no such record');
      if (body.length === 0 || body.length % 16) throw bad('its length is not a multiple of 16');
      const msrs: { index: number; flags: number; value: bigint }[] = [];
      for (let at = 0; at < body.length; at += 16)
        msrs.push({
          index: view.getUint32(at, true),
          flags: view.getUint32(at + 4, true),
          value: view.getBigUint64(at + 8, true),
        });
      return { type, msrs };
    }
    default:
      if (type === undefined && number < OPTIONAL_BIT)
        throw bad('no version of the format that is known here has it, and it may not be skipped');
      return { type: 'OTHER', number, body: body.slice() };
  }
}

function pageData(body: Uint8Array, view: DataView, bad: (reason: string) => Error): PageData {
  if (body.length < 8) throw bad('it is shorter than its header');
  const count = view.getUint32(0, true);
  if (view.getUint32(4, true) !== 0) throw bad('a reserved field is not zero');
  if (count === 0) throw bad('it holds no pages');
  if (body.length < 8 + count * 8) throw bad(`it announces ${count} pages and has no room for their numbers`);
  const pfns: number[] = [];
  const types: number[] = [];
  let contents = 0;
  for (let i = 0; i < count; i++) {
    const lo = view.getUint32(8 + i * 8, true);
    const hi = view.getUint32(12 + i * 8, true);
    const type = hi >>> 28;
    if (hi & 0x0fff_ffff) throw bad(`the frame number of page ${i} is beyond any guest's memory`);
    if (type >= 5 && type <= 8) throw bad(`page ${i} has the type ${type}, which does not exist`);
    pfns.push(lo);
    types.push(type);
    if (hasContents(type)) contents++;
  }
  const expected = 8 + count * 8 + contents * PAGE_BYTES;
  if (body.length !== expected) throw bad(`it has ${body.length} bytes where ${expected} belong`);
  return { type: 'PAGE_DATA', pfns, types, data: body.slice(8 + count * 8) };
}
