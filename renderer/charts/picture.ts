// A chart as a PNG picture at twice its size, with its title and, at the foot, what it is of: units, seed, lab time.
import { token } from '../composables/theme.ts';

/**
 * Draws the picture and hands it to the browser's download.
 * @param chart what is on screen
 * @param size in CSS pixels, of a chart that is on no page
 */
export function savePicture(
  name: string,
  chart: HTMLCanvasElement,
  about: { title: string; footer: string },
  size: { width: number; height: number } = { width: chart.clientWidth, height: chart.clientHeight },
): void {
  const scale = 2;
  const margin = 16;
  const head = 28;
  const foot = 24;
  const width = size.width + 2 * margin;
  const height = size.height + head + foot + margin;
  const canvas = document.createElement('canvas');
  canvas.width = width * scale;
  canvas.height = height * scale;
  const context = canvas.getContext('2d');
  if (!context) return;
  context.scale(scale, scale);
  context.fillStyle = token('--tile');
  context.fillRect(0, 0, width, height);
  context.fillStyle = token('--ink');
  context.font = `600 14px ${token('--font-sans')}`;
  context.fillText(about.title, margin, 20);
  context.drawImage(chart, margin, head, size.width, size.height);
  context.fillStyle = token('--ink3');
  context.font = `11px ${token('--font-sans')}`;
  context.fillText(about.footer, margin, height - 10);
  const link = document.createElement('a');
  link.href = canvas.toDataURL('image/png');
  link.download = name;
  link.click();
}
