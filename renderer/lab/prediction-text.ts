// A prediction of a migration in one line: what it would take, or why it cannot be done.
import type { MigrationPrediction } from '../../shared/migration-service.ts';
import { formatBytes } from '../format/memory.ts';
import { formatDuration } from '../format/time.ts';
import { messages } from '../messages/index.ts';

const time = (ns: number | null): string => (ns === null ? '–' : formatDuration(ns));

/** @param long also says how much crosses the link */
export function predictionText(prediction: MigrationPrediction | undefined, long = false): string {
  if (!prediction) return messages.migration.predicting;
  if (prediction.refusal !== null) return prediction.refusal;
  const total = time(prediction.totalNs);
  const downtime = time(prediction.downtimeNs);
  if (!long) return messages.migration.predictedShort(total, downtime);
  return messages.migration.predicted(total, downtime, prediction.bytes === null ? '–' : formatBytes(prediction.bytes));
}
