// What is remembered per user and not per lab: sizes, the open tab, what is collapsed. Kept in the window's own storage; a
// value that is missing or makes no sense falls back to the default without a word.
import { defineStore } from 'pinia';
import { reactive, watch } from 'vue';

export const INSPECTOR_MIN = 180;
const KEY = 'bulkhead.preferences';

export interface Preferences {
  inspectorHeight: number;
  inspectorOpen: boolean;
  tab: string;
  singleKeys: boolean;
}

const defaults: Preferences = {
  inspectorHeight: 318,
  inspectorOpen: true,
  tab: 'console',
  singleKeys: true,
};

/** Takes from stored text only what has the right type. */
export function readPreferences(stored: string | null): Preferences {
  const result = { ...defaults };
  try {
    const found = JSON.parse(stored ?? '{}') as Record<string, unknown>;
    if (typeof found.inspectorHeight === 'number' && found.inspectorHeight >= INSPECTOR_MIN)
      result.inspectorHeight = found.inspectorHeight;
    if (typeof found.inspectorOpen === 'boolean') result.inspectorOpen = found.inspectorOpen;
    if (typeof found.tab === 'string') result.tab = found.tab;
    if (typeof found.singleKeys === 'boolean') result.singleKeys = found.singleKeys;
  } catch {
    return { ...defaults };
  }
  return result;
}

export const usePreferences = defineStore('preferences', () => {
  const values = reactive(readPreferences(localStorage.getItem(KEY)));
  watch(values, () => localStorage.setItem(KEY, JSON.stringify(values)));
  return { values };
});
