/**
 * Packages made from an unpacked layout with nothing but the system's own tools: tar.gz with tar, zip with 7-zip, deb with dpkg-deb.
 * For networks that electron-builder's helper tools cannot be downloaded on.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { appVersion, projectFolder } from './build-targets.ts';

/** Debian's names of the libraries that Electron's own binary needs (Electron documentation, "Debian dependencies"). */
const DEPENDS = [
  'libgtk-3-0',
  'libnotify4',
  'libnss3',
  'libxss1',
  'libxtst6',
  'xdg-utils',
  'libatspi2.0-0',
  'libuuid1',
  'libsecret-1-0',
];

function run(command: string, args: readonly string[], cwd?: string): void {
  const done = spawnSync(command, args, { cwd, encoding: 'utf8' });
  if (done.error) throw new Error(`${command} is not installed: ${done.error.message}`);
  if (done.status !== 0) throw new Error(`${command} ended with ${String(done.status)}: ${done.stdout}${done.stderr}`);
}

/** Folder inside the archives, so that unpacking does not scatter files. */
const folderName = (arch: string): string => `bulkhead-${appVersion()}-${arch}`;

function inFolder(layout: string, arch: string, body: (parent: string, name: string) => void): void {
  const parent = mkdtempSync(path.join(os.tmpdir(), 'bulkhead-archive-'));
  try {
    cpSync(layout, path.join(parent, folderName(arch)), { recursive: true });
    body(parent, folderName(arch));
  } finally {
    rmSync(parent, { recursive: true, force: true });
  }
}

/** Writes a .tar.gz of the layout. */
export function makeTarGz(layout: string, target: string, arch: string): void {
  rmSync(target, { force: true });
  inFolder(layout, arch, (parent, name) => run('tar', ['-czf', target, '-C', parent, name]));
}

/** Writes a .zip of the layout with the system's 7-zip. */
export function makeZip(layout: string, target: string, arch: string): void {
  rmSync(target, { force: true });
  inFolder(layout, arch, (parent, name) => run('7z', ['a', '-tzip', '-bd', target, name], parent));
}

/** Writes a .deb of a Linux layout: the app in /opt/Bulkhead, a menu entry, an icon, the command `bulkhead`. `arch` is Debian's name. */
export function makeDeb(layout: string, target: string, arch: 'amd64' | 'arm64'): void {
  const root = mkdtempSync(path.join(os.tmpdir(), 'bulkhead-deb-'));
  const at = (...parts: string[]): string => {
    const file = path.join(root, ...parts);
    mkdirSync(path.dirname(file), { recursive: true });
    return file;
  };
  try {
    cpSync(layout, at('opt', 'Bulkhead'), { recursive: true });
    symlinkSync('/opt/Bulkhead/bulkhead', at('usr', 'bin', 'bulkhead'));
    const icon = path.join(projectFolder, 'out', 'icons', 'icon.png');
    if (existsSync(icon)) cpSync(icon, at('usr', 'share', 'icons', 'hicolor', '512x512', 'apps', 'bulkhead.png'));
    writeFileSync(
      at('usr', 'share', 'applications', 'bulkhead.desktop'),
      [
        '[Desktop Entry]',
        'Type=Application',
        'Name=Bulkhead',
        'Comment=A desktop laboratory for virtual machine partitioning',
        'Exec=/opt/Bulkhead/bulkhead %U',
        'Icon=bulkhead',
        'Terminal=false',
        'Categories=Development;',
        'MimeType=application/x-bulkhead-lab;',
        'StartupWMClass=Bulkhead',
        '',
      ].join('\n'),
    );
    writeFileSync(
      at('DEBIAN', 'control'),
      [
        'Package: bulkhead',
        `Version: ${appVersion()}`,
        `Architecture: ${arch}`,
        'Section: devel',
        'Priority: optional',
        'Maintainer: The Bulkhead authors <bulkhead@localhost>',
        `Depends: ${DEPENDS.join(', ')}`,
        'Description: A desktop laboratory for virtual machine partitioning',
        ' Simulated x86 hosts, the real Xen interface and real guests, on any laptop.',
        '',
      ].join('\n'),
    );
    rmSync(target, { force: true });
    run('dpkg-deb', ['--root-owner-group', '--build', root, target]);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}
