// What a PV kernel image says about itself: the Xen ELF notes (public/elfnote.h), or the older `__xen_guest` section of
// KEY=VALUE pairs (Xen 3.0; docs of libelf's loader).

import type { ElfImage } from '../../machine/boot/elf.ts';

export interface XenNotes {
  entry: bigint;
  hypercallPage: bigint | null;
  virtBase: bigint;
  /** Subtracted from a segment's physical address before virtBase is added. */
  paddrOffset: bigint;
  /** 32-bit kernels: PAE required or known; '' when nothing was said. */
  paeMode: string;
  initP2m: bigint | null;
  modStartPfn: boolean;
  guestOs: string;
  guestVersion: string;
  loader: string;
  features: string;
  /** PHYS32_ENTRY: the PVH entry, or null. */
  pvhEntry: number | null;
  /** Where it came from. */
  source: 'notes' | 'section';
}

const Note = {
  ENTRY: 1,
  HYPERCALL_PAGE: 2,
  VIRT_BASE: 3,
  PADDR_OFFSET: 4,
  XEN_VERSION: 5,
  GUEST_OS: 6,
  GUEST_VERSION: 7,
  LOADER: 8,
  PAE_MODE: 9,
  FEATURES: 10,
  HV_START_LOW: 12,
  INIT_P2M: 15,
  MOD_START_PFN: 16,
  SUPPORTED_FEATURES: 17,
  PHYS32_ENTRY: 18,
} as const;

/** The Xen notes of an image, or null when it says nothing about Xen. */
export function readXenNotes(image: ElfImage): XenNotes | null {
  const notes = image.notes.filter((n) => n.name === 'Xen');
  if (notes.length) return fromNotes(image, (type) => notes.find((n) => n.type === type)?.description ?? null);
  const section = image.sections.find((s) => s.name === '__xen_guest');
  return section ? fromSection(image, section.data) : null;
}

function number(bytes: Uint8Array | null): bigint | null {
  if (!bytes || bytes.length === 0) return null;
  let value = 0n;
  for (let i = Math.min(8, bytes.length) - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
  return value;
}

function text(bytes: Uint8Array | null): string {
  if (!bytes) return '';
  const end = bytes.indexOf(0);
  return new TextDecoder('latin1').decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function fromNotes(image: ElfImage, note: (type: number) => Uint8Array | null): XenNotes {
  const pvh = number(note(Note.PHYS32_ENTRY));
  return {
    entry: number(note(Note.ENTRY)) ?? image.entry,
    hypercallPage: number(note(Note.HYPERCALL_PAGE)),
    virtBase: number(note(Note.VIRT_BASE)) ?? 0n,
    paddrOffset: number(note(Note.PADDR_OFFSET)) ?? 0n,
    paeMode: text(note(Note.PAE_MODE)),
    initP2m: number(note(Note.INIT_P2M)),
    modStartPfn: (number(note(Note.MOD_START_PFN)) ?? 0n) !== 0n,
    guestOs: text(note(Note.GUEST_OS)),
    guestVersion: text(note(Note.GUEST_VERSION)),
    loader: text(note(Note.LOADER)),
    features: text(note(Note.FEATURES)),
    pvhEntry: pvh === null ? null : Number(pvh & 0xffff_ffffn),
    source: 'notes',
  };
}

function fromSection(image: ElfImage, data: Uint8Array): XenNotes {
  const pairs = new Map<string, string>();
  for (const item of text(data).split(',')) {
    const at = item.indexOf('=');
    pairs.set(at < 0 ? item : item.slice(0, at), at < 0 ? '' : item.slice(at + 1));
  }
  const hex = (key: string) => (pairs.has(key) ? BigInt(pairs.get(key)!) : null);
  const virtBase = hex('VIRT_BASE') ?? 0n;
  const page = hex('HYPERCALL_PAGE');
  return {
    entry: hex('VIRT_ENTRY') ?? image.entry,
    // Here a page number relative to VIRT_BASE.
    hypercallPage: page === null ? null : virtBase + (page << 12n),
    virtBase,
    // Old images give virtual addresses where physical ones belong, unless they say otherwise.
    paddrOffset: hex('ELF_PADDR_OFFSET') ?? virtBase,
    paeMode: pairs.get('PAE') ?? '',
    initP2m: null,
    modStartPfn: false,
    guestOs: pairs.get('GUEST_OS') ?? '',
    guestVersion: pairs.get('GUEST_VER') ?? '',
    loader: pairs.get('LOADER') ?? '',
    features: pairs.get('FEATURES') ?? '',
    pvhEntry: null,
    source: 'section',
  };
}
