// Which files a window may name. Only what the main process has granted is opened: files from its dialogs, dropped files, files of the command
// line; what a granted xl.cfg names; what the shelf offers; and, for reading, what was saved or opened before and has not changed since.
// Invariant: a method of the service that takes a path is in the table below, or it does not compile into the guarded service.

import { BulkheadError } from '../../shared/errors.ts';
import type { labService, LabImplementation } from '../../shared/lab-service.ts';
import type { DomainSpec, FileReport, Template } from '../../shared/model.ts';
import type { RememberedFiles } from './remembered-files.ts';

type Methods = LabImplementation['methods'];
type Params<M extends keyof Methods> = Parameters<Methods[M]>[0];
/** Methods whose arguments have a path, or a spec that has some. */
type WithPath = {
  [M in keyof typeof labService.methods]: Params<M> extends { path: string } | { spec: DomainSpec } ? M : never;
}[keyof typeof labService.methods];

/** A grant takes another way than the request it is for: so long is waited for one. */
const WAIT_MS = 2000;

/** Files that a spec names; those inside the app are not files. */
function specPaths(spec: Partial<Pick<DomainSpec, 'kernel' | 'ramdisk' | 'disks'>>): string[] {
  const disks = Array.isArray(spec.disks) ? spec.disks.map((d) => d.path) : [];
  return [spec.kernel, spec.ramdisk, ...disks].filter(
    (p): p is string => typeof p === 'string' && !p.startsWith('builtin:'),
  );
}

const one = ({ path }: { path: string }): string[] => [path];
/** The files that a call names. xenstore's paths are no files. */
const FILES: {
  readonly [M in Exclude<WithPath, 'storeNode' | 'storeWrite' | 'storeRemove'>]: (p: Params<M>) => string[];
} & {
  readonly createFromTemplate: (p: Params<'createFromTemplate'>) => string[];
} = {
  inspectFile: one,
  exportLab: one,
  exportTrace: one,
  exportMigration: one,
  saveDomain: one,
  restoreDomain: one,
  inspectStream: one,
  startCapture: one,
  createDomain: ({ spec }) => specPaths(spec),
  createFromTemplate: ({ overrides }) => specPaths(overrides),
};

/** Methods that only read the files they name: those may be files of earlier sessions. */
const READING: ReadonlySet<string> = new Set<keyof typeof FILES>([
  'inspectFile',
  'inspectStream',
  'restoreDomain',
  'createDomain',
  'createFromTemplate',
]);
/** Methods after which a file is known in later sessions: it was saved or opened. */
const REMEMBERING: ReadonlySet<string> = new Set<keyof typeof FILES>([
  'inspectFile',
  'inspectStream',
  'restoreDomain',
  'saveDomain',
]);

export class PathGrants {
  readonly #granted = new Set<string>();
  readonly #waiting = new Set<() => void>();

  readonly #remembered: RememberedFiles | null;

  /**
   * @param templates what the shelf offers: its files may be named
   * @param remembered files of earlier sessions
   */
  constructor(templates: readonly Template[], remembered: RememberedFiles | null = null) {
    this.#remembered = remembered;
    this.grant(templates.flatMap((t) => t.offers.flatMap((o) => specPaths(o.spec))));
  }

  grant(paths: readonly string[]): void {
    for (const p of paths) this.#granted.add(p);
    for (const look of [...this.#waiting]) look();
  }

  /** What a file that may be read names itself. */
  grantNamedBy(report: FileReport): void {
    if (report.kind === 'xl-config') this.grant(specPaths(report.suggested));
  }

  /**
   * Resolves when the file has been granted.
   * @param reading a file of an earlier session will do, if it is what it was
   * @throws BulkheadError not-possible-now when that does not come
   */
  async require(path: string, reading = false): Promise<void> {
    if (this.#granted.has(path)) return;
    const before = reading ? (this.#remembered?.look(path) ?? 'unknown') : 'unknown';
    if (before === 'same') return;
    await new Promise<void>((resolve, reject) => {
      const look = (): void => {
        if (!this.#granted.has(path)) return;
        end();
        resolve();
      };
      const end = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
      };
      const timer = setTimeout(() => {
        end();
        reject(
          new BulkheadError({
            code: 'not-possible-now',
            what: `${path} was not opened.`,
            why:
              before === 'changed'
                ? 'It has changed since it was last saved or opened here, or it is not there any more.'
                : 'A window may only name files that you chose in a dialog, dropped on it or gave to the program at its start.',
            action: 'Choose the file in the dialog.',
            field: 'path',
          }),
        );
      }, WAIT_MS);
      this.#waiting.add(look);
    });
  }

  /** The same methods, each of those that name files behind this check. */
  guarded(methods: Methods): Methods {
    const guarded: Record<string, unknown> = { ...methods };
    for (const [name, files] of Object.entries(FILES) as [keyof Methods, (p: never) => string[]][]) {
      const method = methods[name] as (params: never, context: never) => unknown;
      guarded[name] = async (params: never, context: never) => {
        const named = files(params);
        for (const path of named) await this.require(path, READING.has(name));
        const result = await method(params, context);
        if (REMEMBERING.has(name)) for (const path of named) this.#remembered?.remember(path);
        if (name === 'inspectFile') this.grantNamedBy(result as FileReport);
        return result;
      };
    }
    return guarded as unknown as Methods;
  }
}
