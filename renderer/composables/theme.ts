// Which theme is drawn. The choice belongs to the app (it is kept per user by the main process, and follows the system unless
// fixed); the document only wears it. `themeRevision` tells canvases to read their colours again.
import { ref } from 'vue';
import type { BulkheadBridge, ThemeState } from '../../shared/bridge.ts';

export const dark = ref(true);
export const themeRevision = ref(0);

function wear(state: ThemeState): void {
  dark.value = state.dark;
  document.documentElement.dataset.theme = state.dark ? 'dark' : 'light';
  themeRevision.value += 1;
}

export async function followTheme(bridge: BulkheadBridge): Promise<void> {
  bridge.theme.onChange(wear);
  wear(await bridge.theme.state());
}

export function switchTheme(bridge: BulkheadBridge): Promise<void> {
  return bridge.theme.set(dark.value ? 'light' : 'dark');
}
