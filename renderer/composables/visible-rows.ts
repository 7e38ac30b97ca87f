// Which rows of a long list are drawn: those in view and a few around. The rest is room of the same height, so that the scroll bar
// tells the truth. All rows have one height.
import { computed, onBeforeUnmount, onMounted, ref, watch } from 'vue';
import type { ComputedRef, Ref } from 'vue';

export interface RowWindow {
  /** Index of the first row drawn, and one past the last. */
  readonly from: number;
  readonly to: number;
  /** Room above and below, px. */
  readonly above: number;
  readonly below: number;
}

/** Rows drawn beyond the edges, so that scrolling shows no gap before the next frame. */
const SPARE = 6;

/**
 * @param top scroll position, and height of the view, px
 * @param row height of a row, px
 */
export function rowWindow(count: number, top: number, height: number, row: number): RowWindow {
  const first = Math.max(0, Math.min(count, Math.floor(top / row) - SPARE));
  // Even, so that rows which alternate in look stay what they are.
  const from = first - (first % 2);
  const to = Math.min(count, Math.ceil((top + height) / row) + SPARE);
  return { from, to: Math.max(from, to), above: from * row, below: Math.max(0, count - Math.max(from, to)) * row };
}

/** Call in setup. Follows an element that scrolls, also when it is replaced. */
export function useVisibleRows(
  scroller: Ref<HTMLElement | undefined>,
  count: () => number,
  row: number,
): ComputedRef<RowWindow> {
  const top = ref(0);
  const height = ref(400);
  let observer: ResizeObserver | undefined;
  const follow = (): void => void (top.value = scroller.value?.scrollTop ?? 0);
  function leave(element: HTMLElement | undefined): void {
    element?.removeEventListener('scroll', follow);
    observer?.disconnect();
  }
  function watchOver(element: HTMLElement | undefined): void {
    if (!element) return;
    element.addEventListener('scroll', follow, { passive: true });
    observer ??= new ResizeObserver(([entry]) => (height.value = entry.contentRect.height));
    observer.observe(element);
    follow();
  }
  onMounted(() => watchOver(scroller.value));
  watch(scroller, (now, before) => {
    leave(before);
    watchOver(now);
  });
  onBeforeUnmount(() => leave(scroller.value));
  return computed(() => rowWindow(count(), top.value, height.value, row));
}
