// Running, pausing, stepping and pacing the lab's clock.
import { IconGauge, IconPlayerPause, IconPlayerPlay, IconPlayerSkipForward } from '@tabler/icons-vue';
import { formatSpeed } from '../format/time.ts';
import { messages } from '../messages/index.ts';
import { useLab } from '../stores/lab.ts';
import type { Verb } from './command.ts';
import type { VerbContext } from './context.ts';

/** As fast as the computer can, skipping idle time. */
export const FREE = 0;
/** Lab time against the user's clock. */
export const SPEEDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10] as const;
const STEP_NS = 1e6;

/** The next speed of the list, slower (-1) or faster (1); past its end the lab runs free. */
export function neighbourSpeed(speed: number, direction: -1 | 1): number {
  if (speed === FREE) return direction < 0 ? SPEEDS[SPEEDS.length - 1] : FREE;
  if (direction > 0) return SPEEDS.find((candidate) => candidate > speed) ?? FREE;
  return SPEEDS.findLast((candidate) => candidate < speed) ?? SPEEDS[0];
}

export function speedLabel(speed: number): string {
  return speed === FREE ? messages.top.asFast : formatSpeed(speed);
}

export function clockVerbs({ key }: VerbContext): Verb[] {
  const lab = useLab();
  const running = lab.clock.running;
  const group = messages.verbs.clock;
  return [
    {
      id: 'clock.toggle',
      group,
      title: running ? messages.verbs.pauseLab : messages.verbs.runLab,
      label: running ? messages.top.pause : messages.top.run,
      icon: running ? IconPlayerPause : IconPlayerPlay,
      shortcut: key('clock.toggle'),
      run: () => void (running ? lab.pauseClock() : lab.runClock()),
    },
    {
      id: 'clock.step',
      group,
      title: messages.top.step,
      label: messages.top.step,
      icon: IconPlayerSkipForward,
      shortcut: key('clock.step'),
      run: () => void lab.step(STEP_NS),
    },
    ...(['clock.slower', 'clock.faster'] as const).map((id): Verb => {
      const label = id === 'clock.slower' ? messages.top.slower : messages.top.faster;
      const next = neighbourSpeed(lab.clock.speed, id === 'clock.slower' ? -1 : 1);
      const run = (): void => void lab.setSpeed(next);
      return { id, group, title: label, label, icon: IconGauge, shortcut: key(id), run };
    }),
    {
      id: 'clock.restoreSpeed',
      group,
      title: messages.top.restoreSpeed,
      label: messages.top.restoreSpeed,
      icon: IconGauge,
      disabledReason: lab.clock.slowed ? undefined : messages.top.notSlowed,
      run: () => void lab.restoreSpeed(),
    },
  ];
}

/** One verb per speed; the current one is checked. */
export function speedVerbs(): Verb[] {
  const lab = useLab();
  return [...SPEEDS, FREE].map((speed) => {
    const label = speedLabel(speed);
    return {
      id: `clock.speed.${speed}`,
      group: messages.verbs.clock,
      title: messages.top.speed(label),
      label,
      checked: speed === lab.clock.speed,
      run: () => void lab.setSpeed(speed),
    };
  });
}
