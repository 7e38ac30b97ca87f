// Debian packages without installing anything: apt runs with its own state in the cache folder, for both
// architectures, so that neither root nor `dpkg --add-architecture` on the user's system is needed.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A package as apt knows it now. */
export interface AptPackage {
  readonly name: string;
  readonly architecture: string;
  readonly version: string;
  readonly depends: readonly string[];
}

/** Something outside of us that keeps a guest from being fetched; the message is a sentence for the user. */
export class GuestFetchError extends Error {
  override readonly name = 'GuestFetchError';
}

export class PrivateApt {
  readonly #root: string;
  readonly #options: string[];

  /** @param root folder for apt's lists and downloads; created. @throws GuestFetchError when this is no Debian-like system. */
  constructor(root: string) {
    for (const program of ['apt-get', 'apt-cache', 'dpkg-deb']) {
      if (spawnSync(program, ['--version'], { stdio: 'ignore' }).error) {
        throw new GuestFetchError(
          `Guests come as Debian packages and ${program} is not on this machine. Run this on Debian, or copy a filled .cache/guests folder here.`,
        );
      }
    }
    this.#root = root;
    for (const folder of ['state/lists/partial', 'cache/archives/partial', 'debs'])
      mkdirSync(join(root, folder), { recursive: true });
    const status = join(root, 'status');
    if (!existsSync(status)) writeFileSync(status, '');
    const settings = [
      'APT::Architecture=amd64',
      'APT::Architectures::=amd64',
      'APT::Architectures::=i386',
      `Dir::State=${join(root, 'state')}`,
      `Dir::Cache=${join(root, 'cache')}`,
      `Dir::State::status=${status}`,
      'APT::Sandbox::User=root',
      'Acquire::Languages=none',
    ];
    this.#options = settings.flatMap((setting) => ['-o', setting]);
  }

  /** Refreshes the package lists. Returns apt's complaints (a list it could not fetch), which need not be fatal. */
  update(): string[] {
    const run = spawnSync('apt-get', ['-q', ...this.#options, 'update'], { encoding: 'utf8' });
    return `${run.stdout}\n${run.stderr}`.split('\n').filter((line) => /^(E|W):/.test(line));
  }

  /** The newest version of a package, or null when the lists do not have it. */
  show(name: string, architecture: string): AptPackage | null {
    const run = spawnSync('apt-cache', [...this.#options, '--no-all-versions', 'show', `${name}:${architecture}`], {
      encoding: 'utf8',
    });
    if (run.status !== 0) return null;
    const field = (key: string): string => new RegExp(`^${key}: (.*)$`, 'm').exec(run.stdout)?.[1] ?? '';
    const version = field('Version');
    if (version === '') return null;
    const depends = field('Depends')
      .split(',')
      .map((entry) => entry.trim().split(/[ (:]/)[0])
      .filter((entry) => entry !== '');
    return { name, architecture, version, depends };
  }

  /** Downloads the .deb of exactly this version (apt checks its signature chain and hash) and returns its path. */
  download(wanted: AptPackage): string {
    const folder = join(this.#root, 'debs', `${wanted.name}_${wanted.architecture}`);
    mkdirSync(folder, { recursive: true });
    const run = spawnSync(
      'apt-get',
      ['-q', ...this.#options, 'download', `${wanted.name}:${wanted.architecture}=${wanted.version}`],
      { cwd: folder, encoding: 'utf8' },
    );
    const versionInName = wanted.version.replaceAll(':', '%3a');
    const file = readdirSync(folder).find((entry) => entry.includes(`_${versionInName}_`) && entry.endsWith('.deb'));
    if (file === undefined) {
      const reason = run.stderr.split('\n').find((line) => line.startsWith('E:')) ?? 'apt-get gave no reason';
      throw new GuestFetchError(`${wanted.name} ${wanted.version} could not be downloaded: ${reason}`);
    }
    return join(folder, file);
  }

  /** Unpacks a .deb into a folder; nothing is installed. */
  unpack(deb: string, into: string): void {
    mkdirSync(into, { recursive: true });
    const run = spawnSync('dpkg-deb', ['-x', deb, into], { encoding: 'utf8' });
    if (run.status !== 0) throw new GuestFetchError(`${deb} could not be unpacked: ${run.stderr.trim()}`);
  }
}
