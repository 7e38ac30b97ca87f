// How fast the window is: 2 hosts, 100 domains, ten reports a second, live charts in the inspector. Prints input to paint, long
// tasks and the memory of the renderer's process, from the browser's own tracing and the process table. Other work on the computer
// distorts elapsed time, so that every figure stands twice: elapsed, and CPU time of the page's main thread. "On screen" is the
// browser's own event timing, from the input's arrival to the frame that shows its answer, in steps of 8 ms: it includes raster
// and presentation, which software does where there is no graphics card; which share of all CPU time that is, is printed beside.
//
// The lab is the preview's, served over the real contract inside the page, so that its cost is counted too: what is measured is
// an upper bound. Run: node test/bench/window.ts [seconds] [part of a scene's name]
import { readFileSync, rmSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright';
import type { Page } from 'playwright';
import { build, preview } from 'vite';

const BARS = { inputToPaintMs: 50, longTaskMs: 100, memoryMiB: 300 };
const seconds = Number(process.argv[2] ?? 20);
const wanted = process.argv[3] ?? '';
const root = path.join(import.meta.dirname, '..', 'unit', 'renderer', 'preview');
const outDir = path.join(import.meta.dirname, '..', '..', 'out', 'bench-window');

interface TraceEvent {
  name: string;
  ph: string;
  pid: number;
  tid: number;
  /** Elapsed and thread time, µs. */
  ts: number;
  dur?: number;
  tdur?: number;
  args: { name?: string; data?: { type?: string } };
}

const at = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
const INPUTS: ReadonlySet<string> = new Set(['keydown', 'pointerdown']);
const PAINTED: ReadonlySet<string> = new Set(['Commit', 'CompositeLayers', 'Paint']);

/** Everything the browser traced while `act` ran. */
async function traced(page: Page, act: () => Promise<unknown>): Promise<TraceEvent[]> {
  const browser = page.context().browser()!;
  await browser.startTracing(page, {
    categories: ['devtools.timeline', 'disabled-by-default-devtools.timeline', 'toplevel'],
  });
  await act();
  return (JSON.parse((await browser.stopTracing()).toString()) as { traceEvents: TraceEvent[] }).traceEvents;
}

/** Tasks of the page's main thread, in order; the thread is the one that dispatched its events. */
function mainThread(events: readonly TraceEvent[]): { tasks: TraceEvent[]; inputs: TraceEvent[]; painted: number[] } {
  const inputs = events.filter((e) => e.name === 'EventDispatch' && INPUTS.has(e.args.data?.type ?? ''));
  const first = inputs[0];
  if (!first) return { tasks: [], inputs, painted: [] };
  const own = events.filter((e) => e.pid === first.pid && e.tid === first.tid).sort((a, b) => a.ts - b.ts);
  const tasks = own.filter((e) => e.name === 'RunTask' && e.ph === 'X');
  return { tasks, inputs, painted: own.filter((e) => PAINTED.has(e.name)).map((e) => e.ts + (e.dur ?? 0)) };
}

/** CPU time of the page's process by what it was spent on, µs: its main thread, and raster on its other threads. */
function spent(events: readonly TraceEvent[], tasks: readonly TraceEvent[]): { main: number; raster: number } {
  const sum = (list: readonly TraceEvent[]): number => list.reduce((all, { tdur }) => all + (tdur ?? 0), 0);
  return { main: sum(tasks), raster: sum(events.filter((e) => e.name === 'RasterTask' && e.pid === tasks[0]?.pid)) };
}

/** Input to the next frame on screen as the page's own event timing says, ms, ascending; forgets what it says. */
async function onScreen(page: Page): Promise<number[]> {
  const durations = await page.evaluate(() => {
    const own = window as unknown as { eventTimes: { duration: number }[] };
    return own.eventTimes.splice(0).map(({ duration }) => duration);
  });
  return durations.sort((a, b) => a - b);
}

/** What one scene costs. */
async function scene(
  page: Page,
  name: string,
  prepare: () => Promise<unknown>,
  input: (i: number) => Promise<unknown>,
): Promise<void> {
  if (!name.includes(wanted)) return;
  await prepare();
  await page.waitForTimeout(1500);
  await onScreen(page);
  const events = await traced(page, async () => {
    const until = Date.now() + (seconds * 1000) / 4;
    for (let i = 0; Date.now() < until; i++) {
      await input(i);
      await page.waitForTimeout(120);
    }
    await page.waitForTimeout(500);
  });
  const { tasks, inputs, painted } = mainThread(events);
  const elapsed: number[] = [];
  const cpu: number[] = [];
  for (const { ts } of inputs) {
    const end = painted.find((time) => time > ts);
    if (end === undefined) continue;
    elapsed.push((end - ts) / 1000);
    cpu.push(
      tasks.filter((t) => t.ts + (t.dur ?? 0) > ts && t.ts < end).reduce((sum, t) => sum + (t.tdur ?? 0), 0) / 1000,
    );
  }
  elapsed.sort((a, b) => a - b);
  cpu.sort((a, b) => a - b);
  const longest = Math.max(0, ...tasks.map((t) => t.dur ?? 0)) / 1000;
  const longestCpu = Math.max(0, ...tasks.map((t) => t.tdur ?? 0)) / 1000;
  const { main, raster } = spent(events, tasks);
  const shown = await onScreen(page);
  const fits = at(cpu, 0.95) <= BARS.inputToPaintMs && longestCpu <= BARS.longTaskMs;
  const ms = (n: number): string => n.toFixed(0).padStart(4);
  console.log(
    `${name.padEnd(28)} input to paint, ms: median ${ms(at(elapsed, 0.5))} (CPU ${ms(at(cpu, 0.5))}), 95th ${ms(at(elapsed, 0.95))} (CPU ${ms(at(cpu, 0.95))}), ` +
      `${inputs.length} inputs; on screen ${ms(at(shown, 0.5))}, 95th ${ms(at(shown, 0.95))}; longest task ${ms(longest)} (CPU ${ms(longestCpu)}); ` +
      `raster ${Math.round((100 * raster) / (raster + main))} % of the page's CPU time: CPU time ${fits ? 'within the bars' : 'ABOVE THE BARS'}`,
  );
}

/** Proportional set size of the page's process, MiB (Linux). */
async function rendererMiB(page: Page): Promise<number | undefined> {
  const session = await page.context().browser()!.newBrowserCDPSession();
  const { processInfo } = (await session.send('SystemInfo.getProcessInfo')) as {
    processInfo: { type: string; id: number }[];
  };
  let most: number | undefined;
  for (const { type, id } of processInfo) {
    if (type !== 'renderer') continue;
    try {
      const pss = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${id}/smaps_rollup`, 'utf8'));
      if (pss) most = Math.max(most ?? 0, Number(pss[1]) / 1024);
    } catch {
      // not Linux, or not ours to read
    }
  }
  return most;
}

await build({
  configFile: path.join(root, 'vite.config.ts'),
  logLevel: 'error',
  build: { outDir, emptyOutDir: true, target: 'esnext' },
});
const server = await preview({ configFile: path.join(root, 'vite.config.ts'), logLevel: 'error', build: { outDir } });
const browser = await chromium.launch({
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
});
const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
await page.addInitScript(() => {
  const kept: PerformanceEntry[] = [];
  const observer = new PerformanceObserver((list) =>
    kept.push(...list.getEntries().filter(({ name }) => name === 'keydown' || name === 'pointerdown')),
  );
  observer.observe({ type: 'event', durationThreshold: 16 } as PerformanceObserverInit);
  Object.assign(window, { eventTimes: kept });
});
await page.goto(`${server.resolvedUrls!.local[0]}#domains=100`);
await page.waitForSelector('[data-tile]', { timeout: 60_000 });
await page.getByRole('tab', { name: 'Vitals' }).click();
await page.waitForTimeout((seconds * 1000) / 4);
const memory = await rendererMiB(page);
const tab = (name: string) => () => page.getByRole('tab', { name }).click();
const tiles = page.locator('[data-tile]');
await scene(page, 'choosing tiles, live vitals', tab('Vitals'), (i) =>
  tiles.nth(i % 12).click({ position: { x: 20, y: 20 }, force: true }),
);
await scene(page, 'moving by keys, live trace', tab('Trace'), async (i) => {
  if (i === 0) await tiles.first().focus();
  await page.keyboard.press(i % 2 ? 'ArrowRight' : 'ArrowDown');
});
await scene(
  page,
  'typing in the palette',
  () => page.keyboard.press('Control+k'),
  (i) => page.keyboard.press(i % 8 === 7 ? 'Control+a' : 'create b'[i % 8]),
);
await page.keyboard.press('Escape');
await scene(
  page,
  'the schedule as it happens',
  () => page.keyboard.press('Control+2'),
  () => page.keyboard.press('Tab'),
);
if (memory !== undefined)
  console.log(
    `renderer's memory: ${memory.toFixed(0)} MiB (proportional): ${memory <= BARS.memoryMiB ? 'within the bar' : 'ABOVE THE BAR'}`,
  );
console.log(`load average of the last minute: ${loadavg()[0].toFixed(1)} on ${availableParallelism()} processors`);
await browser.close();
await server.close();
rmSync(outDir, { recursive: true, force: true });
