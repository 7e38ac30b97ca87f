// Files dropped anywhere on the window. Only files: tiles and templates are dragged with pointer events.
import type { BulkheadBridge } from '../../shared/bridge.ts';
import { ref } from 'vue';

/** True while files are held over the window. */
export const filesHeld = ref(false);

/** @returns how to stop listening */
export function followFileDrops(bridge: BulkheadBridge, take: (paths: readonly string[]) => void): () => void {
  let depth = 0;
  const isFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') ?? false;
  const enter = (event: DragEvent): void => {
    if (!isFiles(event)) return;
    depth += 1;
    filesHeld.value = true;
  };
  const leave = (event: DragEvent): void => {
    if (!isFiles(event)) return;
    depth = Math.max(0, depth - 1);
    if (depth === 0) filesHeld.value = false;
  };
  const over = (event: DragEvent): void => {
    if (!isFiles(event)) return;
    event.preventDefault();
    event.dataTransfer!.dropEffect = 'copy';
  };
  const drop = (event: DragEvent): void => {
    if (!isFiles(event)) return;
    event.preventDefault();
    depth = 0;
    filesHeld.value = false;
    const paths = [...event.dataTransfer!.files].map((file) => bridge.files.pathOf(file)).filter(Boolean);
    if (paths.length > 0) take(paths);
  };
  addEventListener('dragenter', enter);
  addEventListener('dragleave', leave);
  addEventListener('dragover', over);
  addEventListener('drop', drop);
  return () => {
    removeEventListener('dragenter', enter);
    removeEventListener('dragleave', leave);
    removeEventListener('dragover', over);
    removeEventListener('drop', drop);
  };
}
