// A thread that translates for the cores of the thread that started it, so that their guests do not wait (background.ts).
// It keeps a copy of the decoded code it was sent, at the addresses it has in the host's memory.

import { workerData, type MessagePort } from 'node:worker_threads';
import { ArchiveKeeper } from './archive-keeper.ts';
import type { TranslationAnswer, TranslationNotice, TranslationOrder, TranslatorNews } from './background.ts';
import { CodeCopy } from './sent-pages.ts';
import { translateRegions } from './translate.ts';

const { port, folder } = workerData as { port: MessagePort; folder: string | null };
const hosts = new Map<number, CodeCopy>();
const tell = (news: TranslatorNews): void => port.postMessage(news);
const keeper = openArchive();

function openArchive(): ArchiveKeeper | null {
  if (folder === null) return null;
  try {
    const k = new ArchiveKeeper(folder);
    tell({ archive: { file: k.file, index: k.index() ?? { run: 0, base: 0, modules: [] } } });
    return k;
  } catch {
    // without its own files there is no version to go by
    tell({ archive: null });
    return null;
  }
}

function translate({ order, host, mode, pages, requests }: TranslationOrder): TranslationAnswer['made'] {
  let mem = hosts.get(host);
  if (!mem) hosts.set(host, (mem = new CodeCopy()));
  for (const page of pages) mem.take(page);
  const made = translateRegions({ mem }, mode, requests);
  if (!made) return null;
  const { bytes, functions, covered } = made;
  const module = new WebAssembly.Module(bytes);
  keeper?.made(order, mode, bytes);
  return { functions, covered, codeBytes: bytes.length, module };
}

function hear(notice: TranslationNotice): void {
  if ('forget' in notice) hosts.delete(notice.forget);
  else if ('keep' in notice) keeper?.keep(notice.keep, notice.functions);
  else if ('used' in notice) keeper?.used(notice.used);
  else tell({ written: keeper?.write() ?? null });
}

port.on('message', (order: TranslationOrder | TranslationNotice) => {
  if (!('order' in order)) return hear(order);
  const start = performance.now();
  let made: TranslationAnswer['made'] = null;
  let error: string | null = null;
  try {
    made = translate(order);
  } catch (e) {
    error = e instanceof Error ? (e.stack ?? e.message) : String(e);
  }
  const answer: TranslationAnswer = { order: order.order, made, error, milliseconds: performance.now() - start };
  port.postMessage(answer);
});
