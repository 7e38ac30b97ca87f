// What a migration would cost, in the engine's numbers: asked for while a domain is held over the hosts or while its sheet is
// open, again now and then, and never otherwise.
import { shallowRef } from 'vue';
import { toSentences } from '../../shared/errors.ts';
import type { MigrationPrediction } from '../../shared/migration-service.ts';
import { useMigrations } from './migrations.ts';

const AGAIN_MS = 700;

/** By host; a host that is absent has not been answered for yet. */
export const predictions = shallowRef<ReadonlyMap<string, MigrationPrediction>>(new Map());
let generation = 0;

/**
 * Predicts for one domain and these hosts until the returned function is called.
 */
export function followPredictions(uuid: string, hosts: readonly string[]): () => void {
  const mine = ++generation;
  predictions.value = new Map();
  const migrations = useMigrations();
  const ask = async (): Promise<void> => {
    for (const host of hosts) {
      let answer: MigrationPrediction;
      try {
        answer = await migrations.predict(uuid, host);
      } catch (thrown) {
        const { what, why } = toSentences(thrown);
        answer = { refusal: `${what} ${why}`, totalNs: null, downtimeNs: null, bytes: null };
      }
      if (mine !== generation) return;
      predictions.value = new Map(predictions.value).set(host, answer);
    }
  };
  void ask();
  const timer = setInterval(() => void ask(), AGAIN_MS);
  return () => {
    clearInterval(timer);
    if (mine !== generation) return;
    generation += 1;
    predictions.value = new Map();
  };
}
