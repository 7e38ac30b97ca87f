// Figures of the domain that is looked at: counters by kind, and their recent past for lines. Nobody looking, nobody asked.
import { defineStore } from 'pinia';
import { ref, shallowRef } from 'vue';
import type { FiguresSample } from '../../shared/lab-service.ts';
import { nextFrame } from '../composables/frame.ts';
import { withSample } from './samples.ts';
import type { DetailedSample } from './samples.ts';
import { useLab } from './lab.ts';
import { useSession } from './session.ts';

const sum = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((a, b) => a + b, 0);

export function toSample({ at, figures }: FiguresSample, memoryMiB: number): DetailedSample {
  return {
    at,
    cpuNs: figures.cpuNs,
    instructions: figures.instructions,
    hypercalls: sum(figures.hypercalls),
    exits: sum(figures.exits),
    memoryMiB,
  };
}

export const useFigures = defineStore('figures', () => {
  const session = useSession();
  const lab = useLab();
  const uuid = ref<string>();
  const latest = shallowRef<FiguresSample>();
  const samples = shallowRef<readonly DetailedSample[]>([]);
  let stop: (() => void) | undefined;

  function take(sample: FiguresSample): void {
    if (sample.uuid !== uuid.value) return;
    latest.value = sample;
    samples.value = withSample(samples.value, toSample(sample, lab.domainStatus(sample.uuid)?.memoryMiB ?? 0));
  }

  /** Looks at a domain, or at none. */
  function watchDomain(next: string | undefined): void {
    stop?.();
    stop = undefined;
    if (next !== uuid.value) {
      uuid.value = next;
      latest.value = undefined;
      samples.value = [];
    }
    const client = session.client;
    if (!client || next === undefined) return;
    stop = client.on('figures', { uuid: next }, (sample) => nextFrame(() => take(sample)));
    void session.attempt(client.figures({ uuid: next })).then((sample) => sample && take(sample));
  }

  return { uuid, latest, samples, watchDomain };
});
