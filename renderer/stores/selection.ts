// Which domain the inspector is about. While there are domains one of them is selected: the one chosen, and when that is gone
// the one that took its place.
import { defineStore } from 'pinia';
import { ref, watch } from 'vue';
import { useLab } from './lab.ts';

/** What is selected after the list of domains changed. */
export function nextSelection(
  selected: string | undefined,
  before: readonly string[],
  after: readonly string[],
): string | undefined {
  if (selected !== undefined && after.includes(selected)) return selected;
  const place = selected === undefined ? 0 : Math.max(0, before.indexOf(selected));
  return after[Math.min(place, after.length - 1)];
}

export const useSelection = defineStore('selection', () => {
  const lab = useLab();
  const uuid = ref<string>();
  /** A domain just created is selected before the engine's next report names it. */
  let expected: string | undefined;

  watch(
    () => lab.domainIds,
    (after, before) => {
      if (expected !== undefined && after.includes(expected)) expected = undefined;
      if (expected === undefined) uuid.value = nextSelection(uuid.value, before ?? [], after);
    },
  );

  function select(next: string | undefined): void {
    uuid.value = next;
    expected = next !== undefined && !lab.domainIds.includes(next) ? next : undefined;
  }
  return { uuid, select };
});
