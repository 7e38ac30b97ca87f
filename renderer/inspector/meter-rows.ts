// What a domain has used since it was created, as rows of a table: a projection of the engine's figures.
import type { DomainStatus, Figures } from '../../shared/model.ts';
import { formatNumber } from '../format/numbers.ts';
import { messages } from '../messages/index.ts';

const HOUR_NS = 3600e9;
const SECOND_NS = 1e9;

export interface MeterRow {
  readonly resource: string;
  readonly used: string;
  readonly unit: string;
}

export interface MeterGroup {
  readonly group: string;
  readonly rows: readonly MeterRow[];
}

/**
 * @param now lab time in ns; memory counts from the domain's creation until now
 */
export function meterGroups(domain: DomainStatus, figures: Figures | undefined, now: number): MeterGroup[] {
  const { units } = messages.meter;
  const hours = Math.max(0, now - domain.createdAt) / HOUR_NS;
  const use: MeterRow[] = [
    { resource: messages.meter.cpu, used: formatNumber(domain.cpuNs / SECOND_NS, 3), unit: units.cpuSeconds },
    { resource: messages.meter.memory, used: formatNumber(domain.memoryMiB * hours, 3), unit: units.mibHours },
    { resource: messages.meter.console, used: formatNumber(domain.consoleBytes), unit: units.bytes },
  ];
  if (figures) use.push({ resource: messages.meter.instructions, used: formatNumber(figures.instructions), unit: '' });
  const groups: MeterGroup[] = [{ group: messages.meter.use, rows: use }];
  if (!figures) return groups;
  const counted: readonly (readonly [string, Readonly<Record<string, number>>])[] = [
    [messages.meter.hypercalls, figures.hypercalls],
    [messages.meter.exits, figures.exits],
    [messages.meter.faults, figures.faults],
    [messages.meter.io, figures.io],
  ];
  for (const [group, counts] of counted) {
    const rows = Object.entries(counts)
      .filter(([, n]) => n > 0)
      .sort(([, a], [, b]) => b - a)
      .map(([resource, n]) => ({ resource, used: formatNumber(n), unit: units.count }));
    if (rows.length > 0) groups.push({ group, rows });
  }
  return groups;
}
