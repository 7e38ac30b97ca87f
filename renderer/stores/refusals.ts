// Why a domain cannot be created on a host right now, in the engine's words. Asked for every offer of the shelf whenever the
// hosts changed in a way that matters, so that a menu or a drag has the answer at hand.
import { defineStore } from 'pinia';
import { computed, shallowRef, watch } from 'vue';
import type { DomainMode, Template } from '../../shared/model.ts';
import { useLab } from './lab.ts';
import { useSession } from './session.ts';

export interface Wish {
  readonly mode: DomainMode;
  readonly memoryMiB: number;
}

/** What an offer of the shelf asks of a host. */
export function wishOf({ mode, spec }: Template['offers'][number]): Wish {
  return { mode, memoryMiB: typeof spec.memoryMiB === 'number' ? spec.memoryMiB : 0 };
}

const keyOf = ({ mode, memoryMiB }: Wish): string => `${mode} ${memoryMiB}`;

export const useRefusals = defineStore('refusals', () => {
  const lab = useLab();
  const session = useSession();
  /** By wish, then host; a host that is absent takes it. */
  const known = shallowRef<ReadonlyMap<string, Readonly<Record<string, string>>>>(new Map());

  const wishes = computed(() => {
    const offers = lab.templates.flatMap((template) => template.offers);
    return [...new Map(offers.map(wishOf).map((wish) => [keyOf(wish), wish])).values()];
  });
  /** What of the hosts decides: grows with nothing else, so that a running lab asks nothing. */
  const decisive = computed(() =>
    JSON.stringify(
      (lab.status?.hosts ?? []).map(({ spec, state, freeMiB, native }) => {
        const domains = lab.tiles(spec.name).length;
        return [spec.name, state, Math.floor(freeMiB), native, domains];
      }),
    ),
  );

  watch(
    [wishes, decisive, () => session.client],
    async ([asked, , client], _before, onCleanup) => {
      let current = true;
      onCleanup(() => (current = false));
      if (!client || asked.length === 0) return;
      const answers = await session.attempt(
        Promise.all(asked.map(async (wish) => [keyOf(wish), await client.refusals(wish)] as const)),
      );
      if (answers && current) known.value = new Map(answers);
    },
    { immediate: true },
  );

  /** The reason why a host does not take a wish; undefined when it does, by all that is known. */
  function refusal(host: string, wish: Wish): string | undefined {
    const answer = known.value.get(keyOf(wish));
    return answer ? answer[host] : lab.refusal(host, wish.memoryMiB);
  }

  return { refusal };
});
