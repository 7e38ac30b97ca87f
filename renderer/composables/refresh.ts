// Asks again and again while something is looked at: at once, then at most once per interval, only when lab time went on, and
// never while the answer before is still awaited (a slow engine is not asked faster than it answers).
import { onBeforeUnmount, onMounted } from 'vue';

/**
 * Call in setup. A hidden window asks nothing.
 * @param now lab time in ns; a clock that stands has nothing new to tell
 * @param everyMs on the user's clock
 */
export function useRefresh(ask: () => unknown, now: () => number, everyMs: number): void {
  let asked = -1;
  let timer: ReturnType<typeof setInterval> | undefined;
  let waiting = false;
  const tick = async (): Promise<void> => {
    if (document.hidden || waiting || now() === asked) return;
    asked = now();
    waiting = true;
    try {
      await ask();
    } finally {
      waiting = false;
    }
  };
  onMounted(() => {
    void tick();
    timer = setInterval(() => void tick(), everyMs);
  });
  onBeforeUnmount(() => clearInterval(timer));
}
