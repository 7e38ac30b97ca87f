// Importing: a file is inspected by the engine; what it found becomes a sheet, or the reason why it cannot be used.
import { defineStore } from 'pinia';
import { ref, shallowRef } from 'vue';
import type { StreamReport } from '../../shared/migration-service.ts';
import type { FileReport } from '../../shared/model.ts';
import { announcer } from '../composables/announcer.ts';
import type { ImportProblem } from '../frame/import-problem.ts';
import { messages } from '../messages/index.ts';
import { useSession } from './session.ts';

export const fileName = (path: string): string => path.split(/[\\/]/).at(-1) ?? path;

/** What the drop zone says of a file that boots nowhere here; undefined when it does. */
export function importProblem(report: FileReport): ImportProblem | undefined {
  if (report.kind === 'xl-config' || (report.kind === 'kernel' && report.modes.length > 0)) return undefined;
  const why =
    report.kind === 'ramdisk'
      ? messages.importing.ramdiskNeedsKernel
      : report.kind === 'lab'
        ? messages.importing.openLabInstead
        : messages.importing.needed;
  return {
    file: fileName(report.path),
    what: report.summary,
    why,
    checked: report.checked.map((check) => messages.importing.check(check.text, check.found)),
  };
}

export const useImport = defineStore('import', () => {
  const session = useSession();
  const found = shallowRef<FileReport>();
  /** A saved domain, as its stream says. */
  const stream = shallowRef<StreamReport>();
  const problem = shallowRef<ImportProblem>();
  const busy = ref(false);

  /** Asks the engine what a file is. Of several files the first is taken. */
  async function inspect(paths: readonly string[]): Promise<void> {
    if (paths.length === 0 || busy.value) return;
    busy.value = true;
    problem.value = undefined;
    const report = await session.act((engine) => engine.inspectFile({ path: paths[0] }));
    const saved = report?.kind === 'unknown' ? await asStream(paths[0]) : undefined;
    busy.value = false;
    if (!report) return;
    if (saved) {
      stream.value = saved;
      return;
    }
    problem.value = importProblem(report);
    if (problem.value) announcer.say(`${messages.shelf.cannotBoot(problem.value.file)}. ${report.summary}`);
    else found.value = report;
  }

  /** What a file is as a migration stream; undefined when it is none. */
  async function asStream(path: string): Promise<StreamReport | undefined> {
    try {
      const report = await session.call((engine) => engine.inspectStream({ path }));
      // a file without any of a stream's headers is none
      return report.facts.some((fact) => fact.label.endsWith(' header')) ? report : undefined;
    } catch {
      return undefined;
    }
  }

  /** Opens the sheet of a saved domain; a file that is none is told. */
  async function inspectSaved(path: string): Promise<void> {
    const report = await session.act((engine) => engine.inspectStream({ path }));
    if (report) stream.value = report;
  }

  return {
    found,
    stream,
    inspectSaved,
    closeStream: () => (stream.value = undefined),
    problem,
    busy,
    inspect,
    close: () => (found.value = undefined),
    dismiss: () => (problem.value = undefined),
  };
});
