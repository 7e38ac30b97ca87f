// Asks again and again while something is looked at: at once, then at most once per interval, and only when lab time went on.
import { onBeforeUnmount, onMounted } from 'vue';

/**
 * Call in setup. A hidden window asks nothing.
 * @param now lab time in ns; a clock that stands has nothing new to tell
 * @param everyMs on the user's clock
 */
export function useRefresh(ask: () => unknown, now: () => number, everyMs: number): void {
  let asked = -1;
  let timer: ReturnType<typeof setInterval> | undefined;
  const tick = (): void => {
    if (document.hidden || now() === asked) return;
    asked = now();
    ask();
  };
  onMounted(() => {
    tick();
    timer = setInterval(tick, everyMs);
  });
  onBeforeUnmount(() => clearInterval(timer));
}
