// Names that are offered, never imposed.

/** Trees, as the first host is one; when all are taken, host-9 and so on. */
const HOSTS = ['alder', 'birch', 'cedar', 'elm', 'hazel', 'larch', 'maple', 'rowan'];

export function freeHostName(taken: readonly string[]): string {
  return HOSTS.find((name) => !taken.includes(name)) ?? `host-${taken.length + 1}`;
}

/** A domain's name from a file's: "/boot/vmlinuz-6.6.gz" gives "vmlinuz-6.6", made free with a number. */
export function nameFromPath(path: string, taken: readonly string[]): string {
  const file = path.split(/[\\/]/).at(-1) ?? '';
  const stem = file.replace(/\.(cfg|gz|xz|elf|bin|img)$/i, '').replace(/[^A-Za-z0-9._-]+/g, '-');
  const base = stem.replace(/^[^A-Za-z0-9]+/, '').slice(0, 36) || 'guest';
  if (!taken.includes(base)) return base;
  for (let n = 2; ; n++) if (!taken.includes(`${base}-${n}`)) return `${base}-${n}`;
}
