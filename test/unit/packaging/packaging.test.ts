/**
 * Packages hold what the app needs, find it from within asar, and hold nothing else. Laid out by electron-builder itself
 * from a stand-in for Electron's distribution.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { extractAll, listPackage } from '@electron/asar';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeDeb, makeTarGz, makeZip } from '../../../scripts/archive-layout.ts';
import { filesUnder, isRunTimeFile, nodeEntries, projectFolder } from '../../../scripts/build-targets.ts';
import type { FromEngine } from '../../../shared/engine-process.ts';
import { labService } from '../../../shared/lab-service.ts';
import { connect, fromElectronPort } from '../../../shared/rpc.ts';
import { mainPorts } from '../../standin/router.ts';
import { endUtilityProcesses, utilityProcess } from '../../standin/utility-process.ts';
import { makeStandinDist } from './standin-dist.ts';

const require = createRequire(import.meta.url);
const work = mkdtempSync(path.join(os.tmpdir(), 'bulkhead-packaging-'));
/** The archive's content as a folder of the archive's name: paths look as they do inside asar. */
const unpacked = path.join(work, 'resources', 'app.asar');
let content: string[] = [];

function run(script: string, args: readonly string[]): void {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], {
    cwd: projectFolder,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${path.basename(script)} ended with ${String(status)}:\n${stdout}\n${stderr}`);
}

function lay(platform: 'linux' | 'win32'): string {
  const output = path.join(work, platform);
  const dist = makeStandinDist(path.join(work, `electron-${platform}`), platform);
  run(require.resolve('electron-builder/cli.js'), [
    ...[platform === 'linux' ? '--linux' : '--win', 'dir', '--x64', '--publish', 'never'],
    ...[`-c.electronDist=${dist}`, `-c.directories.output=${output}`],
  ]);
  return path.join(output, platform === 'linux' ? 'linux-unpacked' : 'win-unpacked');
}

let linux = '';

beforeAll(() => {
  run(path.join(projectFolder, 'scripts', 'build.ts'), ['--if-needed']);
  linux = lay('linux');
  const archive = path.join(linux, 'resources', 'app.asar');
  content = listPackage(archive, { isPack: false }).map((entry) => entry.replaceAll('\\', '/').slice(1));
  extractAll(archive, unpacked);
}, 240_000);

afterAll(() => {
  endUtilityProcesses();
  rmSync(work, { recursive: true, force: true });
});

describe("packages by the system's own tools", () => {
  const list = (command: string, args: readonly string[]): string =>
    spawnSync(command, args, { encoding: 'utf8' }).stdout;

  it('tar.gz holds the layout in one folder', () => {
    const target = path.join(work, 'b.tar.gz');
    makeTarGz(linux, target, 'x64');
    expect(list('tar', ['-tzf', target])).toMatch(/^bulkhead-[^/]+-x64\/resources\/app\.asar$/m);
  });

  it('zip holds the layout in one folder', () => {
    const target = path.join(work, 'b.zip');
    makeZip(linux, target, 'x64');
    expect(list('7z', ['l', '-ba', target])).toMatch(/bulkhead-[^/]+-x64\/resources\/app\.asar/);
  });

  it('deb installs the program, its command, menu entry and icon', () => {
    const target = path.join(work, 'b.deb');
    makeDeb(linux, target, 'amd64');
    const files = list('dpkg-deb', ['--contents', target]);
    expect(files).toContain('./opt/Bulkhead/resources/app.asar');
    expect(files).toContain('./usr/bin/bulkhead -> /opt/Bulkhead/bulkhead');
    expect(files).toContain('./usr/share/applications/bulkhead.desktop');
    expect(list('dpkg-deb', ['--field', target, 'Architecture']).trim()).toBe('amd64');
  });
});

describe('the unpacked Linux layout', () => {
  it('has the program under our name', () => {
    expect(existsSync(path.join(linux, 'bulkhead'))).toBe(true);
    expect(existsSync(path.join(linux, 'electron'))).toBe(false);
  });

  it('holds main process, engine, host worker, preload and page', () => {
    const { main } = JSON.parse(readFileSync(path.join(unpacked, 'package.json'), 'utf8')) as { main: string };
    expect(content).toEqual(
      expect.arrayContaining([
        main,
        ...Object.keys(nodeEntries).map((name) => `out/main/${name}.js`),
        ...Object.values(nodeEntries).map((source) => `out/${source.replace(/\.ts$/, '.js')}`),
        ...['out/preload/preload.cjs', 'out/renderer/index.html', 'out/icons/icon.png', 'LICENSE'],
      ]),
    );
  });

  it('holds every file that the simulation reads at run time, unchanged', () => {
    const main = path.join(projectFolder, 'main');
    const files = filesUnder(main)
      .map((file) => path.relative(main, file))
      .filter(isRunTimeFile);
    expect(files.some((file) => file.includes('images'))).toBe(true);
    for (const file of files) {
      const packed = path.join(unpacked, 'out', 'main', file);
      expect(existsSync(packed), file).toBe(true);
      expect(readFileSync(packed).equals(readFileSync(path.join(main, file))), file).toBe(true);
    }
  });

  it('holds every script and style that the page names', () => {
    const page = readFileSync(path.join(unpacked, 'out', 'renderer', 'index.html'), 'utf8');
    const named = [...page.matchAll(/(?:src|href)="\/([^"]+)"/g)].map((match) => match[1] as string);
    expect(named.length).toBeGreaterThan(1);
    for (const file of named) expect(content).toContain(`out/renderer/${file}`);
  });

  it('holds no sources, source maps, tests or modules of npm', () => {
    expect(content.filter((file) => /\.(ts|vue|map)$|node_modules|\btest\b/.test(file))).toEqual([]);
  });

  it('holds nothing of the stand-in for Electron and no path of the machine that built it', () => {
    for (const file of filesUnder(unpacked)) {
      const text = readFileSync(file, 'latin1');
      expect(text.includes('stand-in for Electron'), file).toBe(false);
      expect(text.includes('__standin'), file).toBe(false);
      expect(text.includes(projectFolder.replace(/[\\/]$/, '') + path.sep), file).toBe(false);
    }
  });

  it('finds its parts from within the archive: the engine starts there, opens a lab and boots our guest', async () => {
    const complaints: string[] = [];
    const engine = utilityProcess.fork(
      path.join(unpacked, 'out', 'main', 'engine.js'),
      ['--lab', path.join(work, 'new.bulkhead')],
      { stdio: 'pipe' },
    );
    engine.stderr?.on('data', (chunk: Buffer) => complaints.push(chunk.toString()));
    const ended = new Promise<number>((resolve) => engine.on('exit', resolve));
    const opened = new Promise<FromEngine>((resolve) => {
      engine.on('message', (message) => {
        if ((message as FromEngine).type !== 'saved') resolve(message as FromEngine);
      });
    });
    expect(await Promise.race([opened, ended]), complaints.join('')).toMatchObject({ type: 'ready' });

    const { port1, port2 } = mainPorts.createChannel();
    engine.postMessage({ type: 'attach', window: 1 }, [port1]);
    const lab = connect(labService, fromElectronPort(port2));
    const { hosts } = await lab.snapshot({});
    const template = (await lab.templates({})).find((each) => each.unavailable == null);
    const { uuid } = await lab.createFromTemplate({ host: hosts[0]?.spec.name ?? '', template: template?.id ?? '' });
    let text = '';
    const prompted = new Promise<void>((resolve) => {
      lab.on('console', { uuid }, ({ bytes }) => {
        text += Buffer.from(bytes).toString();
        if (text.includes('$ ')) resolve();
      });
    });
    await lab.setSpeed({ speed: 0 });
    await lab.run({});
    await Promise.race([prompted, ended]);
    expect(text, complaints.join('')).toContain('Dinghy');

    engine.postMessage({ type: 'stop' });
    expect(await ended).toBe(0);
  }, 90_000);
});

describe('the fuses', () => {
  it.each(['linux', 'win32'] as const)(
    'are flipped in the %s program',
    async (platform) => {
      const folder = platform === 'linux' ? linux : lay(platform);
      const { getCurrentFuseWire, FuseV1Options } = require('@electron/fuses') as typeof import('@electron/fuses');
      const wire = await getCurrentFuseWire(path.join(folder, platform === 'linux' ? 'bulkhead' : 'Bulkhead.exe'));
      const on = (option: number): boolean => (wire as unknown as Record<number, number>)[option] === '1'.charCodeAt(0);
      expect({
        runAsNode: on(FuseV1Options.RunAsNode),
        cookieEncryption: on(FuseV1Options.EnableCookieEncryption),
        nodeOptions: on(FuseV1Options.EnableNodeOptionsEnvironmentVariable),
        nodeInspect: on(FuseV1Options.EnableNodeCliInspectArguments),
        asarIntegrity: on(FuseV1Options.EnableEmbeddedAsarIntegrityValidation),
        onlyAsar: on(FuseV1Options.OnlyLoadAppFromAsar),
        filePrivileges: on(FuseV1Options.GrantFileProtocolExtraPrivileges),
      }).toEqual({
        runAsNode: false,
        cookieEncryption: true,
        nodeOptions: false,
        nodeInspect: false,
        asarIntegrity: true,
        onlyAsar: true,
        filePrivileges: false,
      });
    },
    120_000,
  );
});
