// What is open over the lab: palette or sheet. The lab itself knows nothing of it.
import { defineStore } from 'pinia';
import { nextTick, ref, shallowRef } from 'vue';

export type Sheet =
  | { readonly kind: 'shortcuts' }
  /** Adds a host, or edits the one named. */
  | { readonly kind: 'host'; readonly host: string | undefined }
  | { readonly kind: 'link' }
  | { readonly kind: 'migrate'; readonly uuid: string }
  /** Memory target and vCPUs of a running domain. */
  | { readonly kind: 'resize'; readonly uuid: string }
  /** Creates from an offer of the shelf, with name, memory and vCPUs chosen first. */
  | { readonly kind: 'create'; readonly template: string; readonly offer: string; readonly host: string }
  /** Renames a domain, or the lab when none is named. */
  | { readonly kind: 'rename'; readonly uuid: string | undefined };

/** The views of the window, in the order of their keys. */
export const VIEWS = ['lab', 'scheduler', 'migrations'] as const;
export type View = (typeof VIEWS)[number];

export const useWindow = defineStore('window', () => {
  const view = ref<View>('lab');
  const palette = ref<{ readonly query: string }>();
  const sheet = shallowRef<Sheet>();
  let returnTo: HTMLElement | undefined;

  function openPalette(query = ''): void {
    palette.value = { query };
  }

  function openSheet(next: Sheet): void {
    returnTo = document.activeElement instanceof HTMLElement ? document.activeElement : undefined;
    sheet.value = next;
  }

  async function closeSheet(): Promise<void> {
    sheet.value = undefined;
    const owner = returnTo;
    returnTo = undefined;
    // While the modal dialog stands, nothing behind it can take focus.
    await nextTick();
    if (owner?.isConnected) owner.focus();
  }

  /** Ctrl+F6: back to the tile whose console had the keys. */
  function leaveConsole(): void {
    const tile = document.querySelector<HTMLElement>('[data-tile][tabindex="0"]');
    const tab = document.querySelector<HTMLElement>('[role=tab][aria-selected=true]');
    (tile ?? tab)?.focus();
  }

  return { view, palette, sheet, openPalette, openSheet, closeSheet, leaveConsole };
});
