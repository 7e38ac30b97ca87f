// Which Debian packages the third-party guests come from, and which of their files we use.
// Only names are committed: the version is whatever Debian serves today, and manifest.json in the cache records it.

/** One Debian package to fetch. */
export interface GuestPackage {
  /** Folder under `.cache/guests` that receives the files. */
  readonly id: string;
  /** Debian package, or a metapackage whose first `linux-image-*` dependency is meant. */
  readonly package: string;
  readonly architecture: 'amd64' | 'i386';
  /** True when the package only names the one that carries the kernel. */
  readonly metapackage: boolean;
  /** Files to copy out: a path prefix inside the package, and the name it gets in the cache. */
  readonly files: readonly { readonly from: string; readonly to: string }[];
  /** Loadable modules that the initial RAM file system brings for this kernel, in the order of loading, under lib/modules/RELEASE/kernel. */
  readonly modules?: readonly string[];
  readonly purpose: string;
}

/** The frontends of Xen's split drivers, what a backend in a guest needs, and a file system both kernels have. */
const xenModules = [
  'drivers/block/xen-blkfront.ko',
  'drivers/net/xen-netfront.ko',
  'drivers/xen/xen-evtchn.ko',
  'drivers/xen/xen-gntdev.ko',
  'fs/nls/nls_cp437.ko',
  'fs/nls/nls_ascii.ko',
  'fs/fat/fat.ko',
  'fs/fat/vfat.ko',
  'drivers/cdrom/cdrom.ko',
  'fs/isofs/isofs.ko',
];

export const guestPackages: readonly GuestPackage[] = [
  {
    id: 'linux-cloud-amd64',
    package: 'linux-image-cloud-amd64',
    architecture: 'amd64',
    metapackage: true,
    files: [{ from: 'boot/vmlinuz-', to: 'vmlinuz' }],
    modules: xenModules,
    purpose: '64-bit Linux, lz4 payload: PV, PVH and native',
  },
  {
    id: 'linux-amd64',
    package: 'linux-image-amd64',
    architecture: 'amd64',
    metapackage: true,
    files: [{ from: 'boot/vmlinuz-', to: 'vmlinuz' }],
    purpose: '64-bit Linux, xz payload: PV, PVH, native and Domain-0',
  },
  {
    id: 'linux-686-pae',
    package: 'linux-image-686-pae',
    architecture: 'i386',
    metapackage: true,
    files: [{ from: 'boot/vmlinuz-', to: 'vmlinuz' }],
    modules: xenModules,
    purpose: '32-bit PAE Linux: PVH and native',
  },
  {
    id: 'linux-686',
    package: 'linux-image-686',
    architecture: 'i386',
    metapackage: true,
    files: [{ from: 'boot/vmlinuz-', to: 'vmlinuz' }],
    purpose: '32-bit Linux without PAE: native',
  },
  {
    id: 'busybox-amd64',
    package: 'busybox-static',
    architecture: 'amd64',
    metapackage: false,
    files: [{ from: 'bin/busybox', to: 'busybox' }],
    purpose: 'user programs of the 64-bit initial RAM file system',
  },
  {
    id: 'busybox-i386',
    package: 'busybox-static',
    architecture: 'i386',
    metapackage: false,
    files: [{ from: 'bin/busybox', to: 'busybox' }],
    purpose: 'user programs of the 32-bit initial RAM file system',
  },
  {
    id: 'memtest86+',
    package: 'memtest86+',
    architecture: 'amd64',
    metapackage: false,
    files: [
      { from: 'boot/memtest86+x64.bin', to: 'memtest64.bin' },
      { from: 'boot/memtest86+ia32.bin', to: 'memtest32.bin' },
    ],
    purpose: 'memory test: native, its screen is VGA text',
  },
  {
    id: 'gnumach-xen-amd64',
    package: 'gnumach-image-1.8-xen-486',
    architecture: 'amd64',
    metapackage: false,
    files: [{ from: 'boot/gnumach-', to: 'gnumach.gz' }],
    purpose: 'GNU Mach as a PV guest with the legacy __xen_guest section',
  },
  {
    id: 'gnumach-xen-i386',
    package: 'gnumach-image-1.8-xen-486',
    architecture: 'i386',
    metapackage: false,
    files: [{ from: 'boot/gnumach-', to: 'gnumach.gz' }],
    purpose: 'the same, the i386 build',
  },
  {
    id: 'grub-xen',
    package: 'grub-xen-bin',
    architecture: 'amd64',
    metapackage: false,
    files: [
      { from: 'usr/lib/grub/i386-xen', to: 'i386-xen' },
      { from: 'usr/lib/grub/x86_64-xen', to: 'x86_64-xen' },
      { from: 'usr/lib/grub/i386-xen_pvh', to: 'i386-xen_pvh' },
    ],
    purpose: 'GRUB modules for PV32, PV64 and PVH32',
  },
  {
    id: 'grub-tools',
    package: 'grub-common',
    architecture: 'amd64',
    metapackage: false,
    files: [
      { from: 'usr/bin/grub-mkimage', to: 'grub-mkimage' },
      { from: 'usr/share/grub/unicode.pf2', to: 'unicode.pf2' },
    ],
    purpose: 'the program that links GRUB modules into one image, and the font its video test draws with',
  },
  {
    id: 'xen-utils',
    package: 'xen-utils-4.17',
    architecture: 'amd64',
    metapackage: false,
    files: [
      { from: 'usr/lib/xen-4.17/bin/verify-stream-v2', to: 'verify-stream-v2' },
      { from: 'usr/lib/xen-4.17/lib/python/xen', to: 'python/xen' },
    ],
    purpose: "Xen's own verifier of saved domains",
  },
];
