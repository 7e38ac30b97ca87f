// What is remembered per user and not per lab: sizes, the open tab, what is collapsed. Kept in the window's own storage; a
// value that is missing or makes no sense falls back to the default without a word.
import { defineStore } from 'pinia';
import { reactive, watch } from 'vue';

export const INSPECTOR_MIN = 180;
export const INSPECTOR_MIN_WIDTH = 360;
const KEY = 'bulkhead.preferences';

export interface Preferences {
  inspectorHeight: number;
  inspectorOpen: boolean;
  tab: string;
  singleKeys: boolean;
  /** Where the inspector stands, and its width when it stands right. */
  dock: 'bottom' | 'right';
  inspectorWidth: number;
  /** The tab shown beside the first; empty when there is one only. */
  secondTab: string;
  /** Share of the first of two tabs, 0.2 to 0.8. */
  firstShare: number;
  /** The person's own single keys by command; an empty key is switched off. */
  keys: Record<string, string>;
}

const defaults: Preferences = {
  inspectorHeight: 318,
  inspectorOpen: true,
  tab: 'console',
  singleKeys: true,
  dock: 'bottom',
  inspectorWidth: 520,
  secondTab: '',
  firstShare: 0.5,
  keys: {},
};

/** Takes from stored text only what has the right type. */
export function readPreferences(stored: string | null): Preferences {
  const result = { ...defaults, keys: {} as Record<string, string> };
  try {
    const found = JSON.parse(stored ?? '{}') as Record<string, unknown>;
    if (typeof found.inspectorHeight === 'number' && found.inspectorHeight >= INSPECTOR_MIN)
      result.inspectorHeight = found.inspectorHeight;
    if (typeof found.inspectorOpen === 'boolean') result.inspectorOpen = found.inspectorOpen;
    if (typeof found.tab === 'string') result.tab = found.tab;
    if (found.dock === 'right') result.dock = 'right';
    if (typeof found.inspectorWidth === 'number' && found.inspectorWidth >= INSPECTOR_MIN_WIDTH)
      result.inspectorWidth = found.inspectorWidth;
    if (typeof found.secondTab === 'string') result.secondTab = found.secondTab;
    if (typeof found.firstShare === 'number' && found.firstShare >= 0.2 && found.firstShare <= 0.8)
      result.firstShare = found.firstShare;
    for (const [id, key] of Object.entries((found.keys as object | null | undefined) ?? {}))
      if (typeof key === 'string') result.keys[id] = key;
    if (typeof found.singleKeys === 'boolean') result.singleKeys = found.singleKeys;
  } catch {
    return { ...defaults, keys: {} };
  }
  return result;
}

export const usePreferences = defineStore('preferences', () => {
  const values = reactive(readPreferences(localStorage.getItem(KEY)));
  watch(values, () => localStorage.setItem(KEY, JSON.stringify(values)));
  return { values };
});
