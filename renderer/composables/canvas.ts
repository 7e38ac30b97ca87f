// A canvas that is drawn at the pixels it has: its size is reported and never asked for (asking forces a layout), and it is drawn
// again when what it shows, its size or the theme changes. All canvases of a report are drawn in the pass that follows it.
import { onBeforeUnmount, onMounted, watch } from 'vue';
import type { Ref, WatchSource } from 'vue';
import { themeRevision } from './theme.ts';

interface Size {
  readonly width: number;
  readonly height: number;
}

const sizes = new WeakMap<Element, (size: Size) => void>();
let observer: ResizeObserver | undefined;

/** One observer for all canvases: a full lab has more than a hundred. */
function observe(element: Element, report: (size: Size) => void): () => void {
  observer ??= new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) sizes.get(target)?.(contentRect);
  });
  sizes.set(element, report);
  observer.observe(element);
  return () => {
    sizes.delete(element);
    observer?.unobserve(element);
  };
}

/**
 * Call in setup. A canvas without a size (not laid out, out of view) is not drawn.
 * @param draw is given a cleared context whose unit is one CSS pixel, and the canvas's size in that unit
 */
export function useCanvas(
  canvas: Ref<HTMLCanvasElement | undefined>,
  draw: (context: CanvasRenderingContext2D, size: Size) => void,
  sources: WatchSource[],
): void {
  let size: Size = { width: 0, height: 0 };
  let stop: (() => void) | undefined;

  function paint(): void {
    const target = canvas.value;
    if (!target || size.width === 0 || size.height === 0) return;
    const scale = devicePixelRatio;
    const [width, height] = [Math.round(size.width * scale), Math.round(size.height * scale)];
    const context = target.getContext('2d');
    if (!context) return;
    // Setting a canvas's size makes it a new one, which costs more than clearing it.
    if (target.width !== width || target.height !== height) Object.assign(target, { width, height });
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, size.width, size.height);
    draw(context, size);
  }

  onMounted(() => {
    if (!canvas.value) return;
    stop = observe(canvas.value, (next) => {
      size = next;
      paint();
    });
  });
  onBeforeUnmount(() => stop?.());
  watch([...sources, themeRevision], paint, { flush: 'post' });
}
