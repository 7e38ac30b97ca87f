// `npm run guests`: fetches the third-party guests that tests and templates use into .cache/guests.
// Nothing is installed and nothing fetched is ever committed; manifest.json there records what was used.
// Exit status: 0 everything is there, 1 something could not be had (each said in a sentence), 2 nothing could be started.
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GuestFetchError, PrivateApt, type AptPackage } from './guests/apt.ts';
import { buildGrubImages } from './guests/grub.ts';
import { buildInitramfs } from './guests/initramfs.ts';
import { guestPackages, type GuestPackage } from './guests/packages.ts';

/** What manifest.json holds. Paths are relative to `.cache/guests`. */
interface Manifest {
  version: 1;
  packages: { id: string; name: string; architecture: string; version: string; debSha256: string }[];
  files: { path: string; size: number; sha256: string }[];
}

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const cache = join(root, '.cache', 'guests');
const work = join(cache, '.apt');
/** Shared libraries of grub-mkimage that a minimal Debian does not have. */
const grubLibraries = ['libefiboot1', 'libefivar1', 'libdevmapper1.02.1', 'libfuse2'];

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** The record of a guest whose files are all in the cache, or null. */
function cached(guest: GuestPackage, previous: Manifest | null): Manifest['packages'][number] | null {
  const entry = previous?.packages.find((known) => known.id === guest.id) ?? null;
  const complete =
    guest.files.every((file) => existsSync(join(cache, guest.id, file.to))) &&
    modulesOf(guest).length === (guest.modules?.length ?? 0);
  return complete ? entry : null;
}

/** The modules of a kernel that are in the cache, in the order of loading. */
function modulesOf(guest: GuestPackage): { release: string; name: string; path: string }[] {
  const folder = join(cache, guest.id, 'modules');
  const release = existsSync(folder) ? readdirSync(folder)[0] : undefined;
  if (release === undefined) return [];
  return (guest.modules ?? [])
    .map((module) => ({ release, name: basename(module), path: join(folder, release, basename(module)) }))
    .filter(({ path }) => existsSync(path));
}

function copyModules(guest: GuestPackage, tree: string): void {
  const folder = join(tree, 'lib', 'modules');
  const release = existsSync(folder) ? readdirSync(folder)[0] : undefined;
  if (release === undefined) throw new GuestFetchError(`${guest.package} brings no modules.`);
  const target = join(cache, guest.id, 'modules', release);
  mkdirSync(target, { recursive: true });
  for (const module of guest.modules ?? []) {
    const path = join(folder, release, 'kernel', module);
    if (!existsSync(path)) throw new GuestFetchError(`${guest.package} has no module ${module} for ${release}.`);
    cpSync(path, join(target, basename(module)));
  }
}

function fetchOne(apt: PrivateApt, guest: GuestPackage, previous: Manifest | null, manifest: Manifest): void {
  const have = cached(guest, previous);
  let found = apt.show(guest.package, guest.architecture);
  if (found !== null && guest.metapackage) {
    const kernel = found.depends.find((name) => name.startsWith('linux-image-'));
    found = kernel === undefined ? null : apt.show(kernel, guest.architecture);
  }
  if (have !== null && (found === null || found.version === have.version)) {
    manifest.packages.push(have);
    say(`${guest.id}: ${have.name} ${have.version} (${have.architecture}) is already there`);
    return;
  }
  if (found === null) {
    throw new GuestFetchError(`This Debian's package lists have no ${guest.package} for ${guest.architecture}.`);
  }
  const deb = apt.download(found);
  const tree = join(work, 'trees', guest.id);
  rmSync(tree, { recursive: true, force: true });
  apt.unpack(deb, tree);
  const target = join(cache, guest.id);
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  for (const file of guest.files) {
    const folder = join(tree, dirname(file.from));
    const prefix = file.from.slice(dirname(file.from).length + 1);
    const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.startsWith(prefix)) : [];
    const name = names.includes(prefix) ? prefix : names[0];
    if (name === undefined) throw new GuestFetchError(`${found.name} ${found.version} has no file ${file.from}.`);
    cpSync(join(folder, name), join(target, file.to), { recursive: true });
  }
  if (guest.modules) copyModules(guest, tree);
  record(manifest, guest.id, found, deb);
  say(`${guest.id}: ${found.name} ${found.version} (${found.architecture})`);
  rmSync(tree, { recursive: true, force: true });
}

function record(manifest: Manifest, id: string, found: AptPackage, deb: string): void {
  manifest.packages.push({
    id,
    name: found.name,
    architecture: found.architecture,
    version: found.version,
    debSha256: sha256(readFileSync(deb)),
  });
}

function fetchLibraries(apt: PrivateApt, manifest: Manifest): string {
  const tree = join(work, 'libraries');
  for (const name of grubLibraries) {
    const found = apt.show(name, 'amd64');
    if (found === null) continue; // the system may have it under another name; grub-mkimage says so if not
    const deb = apt.download(found);
    apt.unpack(deb, tree);
    record(manifest, 'grub-tools', found, deb);
  }
  return ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu'].map((path) => join(tree, path)).join(':');
}

/** The manifest of an earlier run; null when there is none that can be read. */
function readManifest(): Manifest | null {
  try {
    const manifest = JSON.parse(readFileSync(join(cache, 'manifest.json'), 'utf8')) as Manifest;
    return manifest.version === 1 ? manifest : null;
  } catch {
    return null;
  }
}

function listFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.name !== '.apt' && entry.name !== 'manifest.json')
    .flatMap((entry) => (entry.isDirectory() ? listFiles(join(folder, entry.name)) : [join(folder, entry.name)]))
    .sort();
}

function main(): number {
  const problems: string[] = [];
  const attempt = (what: string, action: () => void): void => {
    try {
      action();
    } catch (error) {
      if (!(error instanceof GuestFetchError)) throw error;
      problems.push(`${what}: ${error.message}`);
    }
  };
  let apt: PrivateApt;
  try {
    apt = new PrivateApt(work);
  } catch (error) {
    if (!(error instanceof GuestFetchError)) throw error;
    say(error.message);
    return 2;
  }
  const manifest: Manifest = { version: 1, packages: [], files: [] };
  const previous = readManifest();
  say('Reading the package lists ...');
  const complaints = apt.update();
  for (const guest of guestPackages) attempt(guest.id, () => fetchOne(apt, guest, previous, manifest));
  const init = readFileSync(join(root, 'scripts', 'guests', 'init.sh'));
  const scripts = new Map([['xenstore', readFileSync(join(root, 'scripts', 'guests', 'xenstore.sh'))]]);
  for (const architecture of ['amd64', 'i386']) {
    const busybox = join(cache, `busybox-${architecture}`, 'busybox');
    if (!existsSync(busybox)) continue;
    const modules = guestPackages
      .filter((guest) => guest.modules && guest.architecture === architecture)
      .map((guest) => modulesOf(guest))
      .filter((files) => files.length > 0)
      .map((files) => ({
        release: files[0].release,
        files: files.map(({ name, path }) => ({ name, data: readFileSync(path) })),
      }));
    const image = buildInitramfs(readFileSync(busybox), init, scripts, modules);
    writeFileSync(join(cache, `initramfs-${architecture}.cpio.gz`), image);
    say(`initramfs-${architecture}.cpio.gz: ${image.length} bytes`);
  }
  attempt('grub images', () => {
    const mkimage = join(cache, 'grub-tools', 'grub-mkimage');
    if (!existsSync(mkimage)) return;
    const libraries = fetchLibraries(apt, manifest);
    const font = join(cache, 'grub-tools', 'unicode.pf2');
    for (const image of buildGrubImages(mkimage, join(cache, 'grub-xen'), font, libraries, join(cache, 'grub'))) {
      say(`${relative(cache, image)}: ${statSync(image).size} bytes`);
    }
  });
  manifest.files = listFiles(cache).map((path) => {
    const bytes = readFileSync(path);
    return { path: relative(cache, path), size: bytes.length, sha256: sha256(bytes) };
  });
  writeFileSync(join(cache, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  if (problems.length > 0) {
    say('Not everything could be had:');
    for (const line of [...problems, ...complaints]) say(`  ${line}`);
    return 1;
  }
  return 0;
}

process.exitCode = main();
