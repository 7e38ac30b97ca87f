// Imports go one way (docs/architecture.md). Two judges: every import of the tree is resolved and held against the layers, and the lint
// rule, which people meet first, is shown wrong imports and must refuse them.
import { ESLint } from 'eslint';
import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** Layer -> the layers it may import besides itself. What is not listed may not be imported. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  shared: [],
  'main/machine': ['shared'],
  'main/hypervisor': ['shared', 'main/machine'],
  'main/backends': ['shared', 'main/machine', 'main/hypervisor'],
  'main/guests': ['shared'],
  'main/toolstack': ['shared', 'main/machine', 'main/hypervisor', 'main/backends', 'main/guests'],
  'main/engine': ['shared', 'main/toolstack', 'main/guests'],
  'main/app': ['shared'],
  preload: ['shared'],
  renderer: ['shared'],
};
const LAYERS = Object.keys(MAY_IMPORT);

/** npm packages (and `node:`, `electron`) that a layer may use; layers not listed may use any. */
const PACKAGES: Record<string, RegExp> = {
  shared: /^zod$/,
  'main/machine': /^(?!electron$|vue$|pinia$)/,
  'main/hypervisor': /^(?!electron$|vue$|pinia$)/,
  'main/engine': /^(?!electron$|vue$|pinia$)/,
  preload: /^electron$/,
  renderer: /^(?!node:|electron$)/,
};

const layerOf = (file: string): string | undefined => LAYERS.find((l) => file.startsWith(`${l}/`));
/** The TypeScript of a file; of a component, its scripts. */
function scriptOf(file: string, text: string): string {
  if (!file.endsWith('.vue')) return text;
  return [...text.matchAll(/<script[^>]*>([\s\S]*?)<\/script>/g)].map((m) => m[1]).join('\n');
}

interface Import {
  from: string;
  /** Path from the root, or the name of a package. */
  to: string;
  relative: boolean;
}
function importsOf(file: string, text: string): Import[] {
  const { importedFiles } = ts.preProcessFile(scriptOf(file, text), true, true);
  return importedFiles.map(({ fileName }) => {
    const relative = fileName.startsWith('.');
    return { from: file, to: relative ? path.posix.join(path.posix.dirname(file), fileName) : fileName, relative };
  });
}
/** Why an import is wrong, or null. */
function wrong(i: Import): string | null {
  const from = layerOf(i.from);
  if (!from) return null;
  if (!i.relative)
    return !PACKAGES[from] || PACKAGES[from].test(i.to) ? null : `${i.from}: ${from} must not use ${i.to}`;
  const to = layerOf(i.to);
  if (to === from || (to && MAY_IMPORT[from]!.includes(to))) return null;
  return `${i.from}: ${from} must not import ${i.to}`;
}

const files = LAYERS.flatMap((l) => globSync(`${l}/**/*.{ts,vue}`, { cwd: root })).map((f) =>
  f.split(path.sep).join('/'),
);
const imports = files.flatMap((f) => importsOf(f, readFileSync(path.join(root, f), 'utf8')));

describe('the tree', () => {
  it('is read: every layer has files, and their imports are found', () => {
    for (const layer of LAYERS)
      expect(
        files.some((f) => f.startsWith(`${layer}/`)),
        layer,
      ).toBe(true);
    expect(imports.length).toBeGreaterThan(files.length);
    expect(
      importsOf('renderer/a/B.vue', '<script setup lang="ts">\nimport x from "../../main/engine/lab.ts";\n</script>'),
    ).toEqual([{ from: 'renderer/a/B.vue', to: 'main/engine/lab.ts', relative: true }]);
  });

  it('imports one way only', () => {
    expect(imports.map(wrong).filter((w) => w !== null)).toEqual([]);
  });

  it('imports files that exist, by their whole name', () => {
    const missing = imports.filter((i) => i.relative && !existsSync(path.join(root, i.to.replace(/\?.*$/, ''))));
    expect(missing.map((i) => `${i.from}: ${i.to}`)).toEqual([]);
  });

  it('is judged by rules that refuse what is wrong', () => {
    const judge = (from: string, to: string): string | null => wrong(importsOf(from, `import '${to}';`)[0]!);
    expect(judge('main/machine/cpu/core.ts', '../../hypervisor/host.ts')).toContain(
      'must not import main/hypervisor/host.ts',
    );
    expect(judge('main/engine/lab.ts', '../machine/clock.ts')).toContain('main/machine/clock.ts');
    expect(judge('main/app/index.ts', '../engine/lab.ts')).toContain('main/engine/lab.ts');
    expect(judge('shared/model.ts', 'node:fs')).toContain('node:fs');
    expect(judge('renderer/main.ts', 'electron')).toContain('electron');
    expect(judge('main/engine/lab.ts', '../../test/unit/engine/double.ts')).toContain('test/unit');
    expect(judge('main/engine/lab.ts', '../toolstack/index.ts')).toBeNull();
    expect(judge('main/engine/lab.ts', '../../shared/model.ts')).toBeNull();
  });
});

describe('the lint rule', () => {
  let eslint: ESLint;
  beforeAll(() => {
    eslint = new ESLint({ cwd: root });
  });
  const complaints = async (file: string, imported: string): Promise<string[]> => {
    const [result] = await eslint.lintText(`import { x } from '${imported}';\nexport { x };\n`, {
      filePath: path.join(root, file),
    });
    return result!.messages.filter((m) => m.ruleId === 'no-restricted-imports').map((m) => m.message);
  };

  // one wrong import out of every layer into each layer it may not reach
  const pairs = LAYERS.flatMap((from) =>
    LAYERS.filter((to) => to !== from && !MAY_IMPORT[from]!.includes(to)).map((to) => [from, to] as const),
  );
  it.each(pairs)('refuses %s importing %s', async (from, to) => {
    const file = `${from}/probe/probe.ts`;
    const imported = path.posix.relative(path.posix.dirname(file), `${to}/x.ts`);
    expect(await complaints(file, imported)).not.toEqual([]);
  });

  it.each(LAYERS)('refuses %s importing what lies under test/', async (from) => {
    expect(await complaints(`${from}/probe.ts`, '../'.repeat(from.split('/').length) + 'test/x.ts')).not.toEqual([]);
  });

  it('lets pass what may be imported', async () => {
    for (const from of LAYERS)
      for (const to of MAY_IMPORT[from]!) {
        const file = `${from}/probe/probe.ts`;
        const imported = path.posix.relative(path.posix.dirname(file), `${to}/x.ts`);
        expect(await complaints(file, imported), `${from} -> ${to}`).toEqual([]);
      }
  });
});
