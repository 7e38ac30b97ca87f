// The shelf: the guests that can be dragged onto a host, with the settings each mode starts from.
// Invariant: a template without `unavailable` names only kernels that exist; what must be fetched first says how.

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Template } from '../../shared/model.ts';

type Offer = Template['offers'][number];

/** One image of our own guest, as `dinghy/manifest.json` lists it. */
export interface BuiltinImage {
  /** Name behind `builtin:` in a domain's kernel. */
  readonly image: string;
  readonly bits: 32 | 64;
  readonly modes: readonly ('pv' | 'pvh' | 'native')[];
  readonly bytes: number;
  readonly sha256: string;
}

const dinghy = new URL('./dinghy/', import.meta.url);

/** The images of our own guest. Throws only when the installation itself is damaged (manifest missing or not JSON). */
export function builtinImages(): readonly BuiltinImage[] {
  const manifest = JSON.parse(readFileSync(new URL('manifest.json', dinghy), 'utf8')) as { images: BuiltinImage[] };
  return manifest.images;
}

/** File path of a built-in image, without or with the prefix `builtin:`; null when there is none of that name. */
export function builtinImagePath(name: string): string | null {
  const image = name.replace(/^builtin:/, '');
  if (!/^[a-z0-9-]+$/.test(image)) return null;
  const path = fileURLToPath(new URL(`images/${image}`, dinghy));
  return existsSync(path) ? path : null;
}

// A network interface each, so that two of them can ping each other at once; the bare PC has no network card.
const connected = { nics: [{ bridge: 'br0' }] };
const dinghyOffers: readonly Offer[] = [
  offer('PV 64', 'pv', 'builtin:dinghy-pv64', connected),
  offer('PV 32', 'pv', 'builtin:dinghy-pv32', connected),
  offer('PVH 64', 'pvh', 'builtin:dinghy-hw64', connected),
  offer('PVH 32', 'pvh', 'builtin:dinghy-hw32', connected),
  offer('Native 64', 'native', 'builtin:dinghy-hw64'),
  offer('Native 32', 'native', 'builtin:dinghy-hw32'),
];

function offer(label: string, mode: Offer['mode'], kernel: string, more: Record<string, unknown> = {}): Offer {
  return { label, mode, spec: { mode, kernel, memoryMiB: 16, vcpus: 1, cmdline: '', ...more } };
}

/** A guest whose files `npm run guests` puts into the guest folder. Paths are relative to that folder. */
interface FetchedTemplate {
  readonly id: string;
  readonly title: string;
  readonly offers: readonly { label: string; mode: Offer['mode']; kernel: string; more: Record<string, unknown> }[];
}

// The kernel's self-tests of its ciphers and the probe for ISA cards take billions of instructions and nobody reads them.
const QUIET_PV = 'console=hvc0 cryptomgr.notests=1';
const QUIET_PC = 'console=ttyS0 cryptomgr.notests=1 noisapnp';
const linux64 = { ramdisk: 'initramfs-amd64.cpio.gz', memoryMiB: 128 };
const linux32 = { ramdisk: 'initramfs-i386.cpio.gz', memoryMiB: 128 };
const fetched: readonly FetchedTemplate[] = [
  {
    id: 'linux',
    title: 'Linux 6.1',
    offers: [
      {
        label: 'PV 64',
        mode: 'pv',
        kernel: 'linux-cloud-amd64/vmlinuz',
        more: { ...linux64, cmdline: QUIET_PV },
      },
      {
        label: 'PVH 64',
        mode: 'pvh',
        kernel: 'linux-cloud-amd64/vmlinuz',
        more: { ...linux64, cmdline: QUIET_PV },
      },
      { label: 'PVH 32', mode: 'pvh', kernel: 'linux-686-pae/vmlinuz', more: { ...linux32, cmdline: QUIET_PV } },
      {
        label: 'Native 64',
        mode: 'native',
        kernel: 'linux-amd64/vmlinuz',
        more: { ...linux64, cmdline: QUIET_PC },
      },
      {
        label: 'Native 32',
        mode: 'native',
        kernel: 'linux-686/vmlinuz',
        more: { ...linux32, cmdline: QUIET_PC },
      },
    ],
  },
  {
    id: 'grub',
    title: 'GRUB',
    offers: [
      { label: 'PV 64', mode: 'pv', kernel: 'grub/x86_64-xen-shell.elf', more: { memoryMiB: 64 } },
      { label: 'PV 32', mode: 'pv', kernel: 'grub/i386-xen-shell.elf', more: { memoryMiB: 64 } },
      { label: 'PVH 32', mode: 'pvh', kernel: 'grub/i386-xen_pvh-shell.elf', more: { memoryMiB: 64 } },
    ],
  },
];

/**
 * All templates, in the order shown.
 * @param guestFolder where fetched guests lie (`.cache/guests` after `npm run guests`), absolute
 * @returns our own guest first; a fetched guest offers the modes whose files are there and is unavailable when none is
 */
export function templates(guestFolder: string): Template[] {
  const own: Template = { id: 'dinghy', title: 'Dinghy', offers: [...dinghyOffers], unavailable: null };
  return [own, ...fetched.map((template) => fromFolder(template, guestFolder))];
}

function fromFolder(template: FetchedTemplate, guestFolder: string): Template {
  const at = (file: string): string => `${guestFolder}/${file}`;
  const usable = template.offers.filter(
    ({ kernel, more }) =>
      existsSync(at(kernel)) && (typeof more['ramdisk'] !== 'string' || existsSync(at(more['ramdisk']))),
  );
  const offers = usable.map(({ label, mode, kernel, more }) => {
    const ramdisk = typeof more['ramdisk'] === 'string' ? { ramdisk: at(more['ramdisk']) } : {};
    return offer(label, mode, at(kernel), { ...more, ...ramdisk });
  });
  const unavailable =
    offers.length > 0
      ? null
      : `${template.title} does not come with Bulkhead. Run \`npm run guests\` in a source checkout on Debian to fetch it from Debian's packages, or drop a kernel file of your own onto a host.`;
  return { id: template.id, title: template.title, offers, unavailable };
}
