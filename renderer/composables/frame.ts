// One update per animation frame. The engine's events arrive whenever they arrive; whoever listens hands them here, and all
// of a frame's changes reach the stores together, so that the window is drawn at most once per frame.

let pending: (() => void)[] = [];
let scheduled = false;

function run(): void {
  scheduled = false;
  const batch = pending;
  pending = [];
  for (const change of batch) change();
}

/** Runs a change with all others of this frame, in the order in which they came. A hidden window has no frames: then soon. */
export function nextFrame(change: () => void): void {
  pending.push(change);
  if (scheduled) return;
  scheduled = true;
  if (document.hidden) setTimeout(run, 100);
  else requestAnimationFrame(run);
}

// Frames that were asked for before the window was hidden would wait until it is shown again.
if (typeof document !== 'undefined') {
  document.addEventListener('visibilitychange', () => document.hidden && scheduled && run());
}
