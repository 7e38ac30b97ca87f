// The stretch of a host's schedule that is on screen. It is asked for while the Scheduler view is open, a few times a second when
// it follows the clock, once when it stands.
import { defineStore } from 'pinia';
import { computed, ref, shallowRef } from 'vue';
import { toSentences } from '../../shared/errors.ts';
import type { ErrorSentences } from '../../shared/errors.ts';
import type { ScheduleSlice } from '../../shared/inspection-service.ts';
import { useLab } from './lab.ts';
import { useSession } from './session.ts';

/** Spans of lab time, ns. */
export const SPANS = [3e6, 30e6, 300e6, 3e9] as const;
const LIMIT = 5000;

export const useSchedule = defineStore('schedule', () => {
  const session = useSession();
  const lab = useLab();
  const host = ref<string>();
  const span = ref<number>(SPANS[1]);
  /** Right edge of a stretch that stands; undefined follows the clock. */
  const end = ref<number>();
  const shown = shallowRef<{ host: string; from: number; to: number; slices: readonly ScheduleSlice[] }>();
  const refusal = shallowRef<ErrorSentences>();
  let asked = 0;

  const chosenHost = computed(() => {
    const names = lab.hosts.map((entry) => entry.name);
    return host.value !== undefined && names.includes(host.value) ? host.value : names[0];
  });

  async function read(): Promise<void> {
    const name = chosenHost.value;
    if (name === undefined) return;
    const mine = ++asked;
    const to = end.value ?? lab.clock.now;
    const from = Math.max(0, to - span.value);
    try {
      const slices = await session.call((engine) => engine.schedule({ host: name, from, to, limit: LIMIT }));
      if (mine !== asked) return;
      shown.value = { host: name, from, to: from + span.value, slices };
      refusal.value = undefined;
    } catch (thrown) {
      if (mine === asked) refusal.value = toSentences(thrown);
    }
  }

  function choose(change: { host?: string; span?: number; end?: number | 'follow' }): void {
    if (change.host !== undefined) host.value = change.host;
    if (change.span !== undefined) {
      // Zooming keeps the right edge where it is.
      if (end.value !== undefined) end.value = Math.max(end.value, change.span);
      span.value = change.span;
    }
    if (change.end === 'follow') end.value = undefined;
    else if (change.end !== undefined) end.value = Math.min(lab.clock.now, Math.max(span.value, change.end));
    void read();
  }
  /** One step of the zoom: nearer (-1) or farther (1). */
  function zoom(direction: 1 | -1): void {
    const at = SPANS.findIndex((entry) => entry === span.value);
    const next = SPANS[Math.max(0, Math.min(SPANS.length - 1, at + direction))];
    choose({ span: next });
  }
  /** Stands still, half a screen earlier (-1) or later (1). */
  const pan = (direction: 1 | -1): void => choose({ end: (end.value ?? lab.clock.now) + (direction * span.value) / 2 });

  return { host: chosenHost, span, end, shown, refusal, read, choose, zoom, pan };
});
