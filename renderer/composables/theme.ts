// Which theme is drawn. The choice belongs to the app (it is kept per user by the main process, and follows the system unless
// fixed); the document only wears it. `themeRevision` tells canvases to draw again with `token`'s new values.
import { ref } from 'vue';
import type { BulkheadBridge, ThemeState } from '../../shared/bridge.ts';

export const dark = ref(true);
export const themeRevision = ref(0);

/** Custom properties as they are now, read once: asking the document costs a style pass each time. */
const tokens = new Map<string, string>();

/** The value of a design token ("--ink"), for canvases. */
export function token(property: string): string {
  let value = tokens.get(property);
  if (value === undefined) {
    value = getComputedStyle(document.documentElement).getPropertyValue(property).trim();
    // Before the style sheet is there every property is empty.
    if (value !== '') tokens.set(property, value);
  }
  return value;
}

function wear(state: ThemeState): void {
  dark.value = state.dark;
  document.documentElement.dataset.theme = state.dark ? 'dark' : 'light';
  tokens.clear();
  themeRevision.value += 1;
}

export async function followTheme(bridge: BulkheadBridge): Promise<void> {
  bridge.theme.onChange(wear);
  wear(await bridge.theme.state());
}

export function switchTheme(bridge: BulkheadBridge): Promise<void> {
  return bridge.theme.set(dark.value ? 'light' : 'dark');
}
