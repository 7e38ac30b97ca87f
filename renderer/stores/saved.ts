// The shelf of saved domains: files that were saved from this computer's windows. Only where they are is remembered; what is in
// them is asked of the engine when one is restored.
import { defineStore } from 'pinia';
import { ref, watch } from 'vue';

export interface SavedDomain {
  readonly path: string;
  readonly name: string;
  readonly memoryMiB: number;
  /** Lab time at which it was saved, ns. */
  readonly at: number;
}

const KEY = 'bulkhead.saved';
const KEPT = 20;

/** Takes from stored text only what has the right shape. */
export function readSaved(stored: string | null): SavedDomain[] {
  try {
    const found = JSON.parse(stored ?? '[]') as unknown;
    if (!Array.isArray(found)) return [];
    return found
      .filter(
        (entry): entry is SavedDomain =>
          typeof entry === 'object' &&
          entry !== null &&
          typeof entry.path === 'string' &&
          typeof entry.name === 'string' &&
          typeof entry.memoryMiB === 'number' &&
          typeof entry.at === 'number',
      )
      .slice(0, KEPT);
  } catch {
    return [];
  }
}

export const useSaved = defineStore('saved', () => {
  const all = ref<SavedDomain[]>(readSaved(localStorage.getItem(KEY)));
  watch(all, (now) => localStorage.setItem(KEY, JSON.stringify(now)), { deep: true });
  const forget = (path: string): void => void (all.value = all.value.filter((entry) => entry.path !== path));
  const add = (entry: SavedDomain): void =>
    void (all.value = [entry, ...all.value.filter((other) => other.path !== entry.path)].slice(0, KEPT));
  return { all, add, forget };
});
