/**
 * Where the built files lie, relative to this one: the same in the checkout (out/) and inside app.asar.
 */
import { fileURLToPath } from 'node:url';

const here = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

export const bundle = {
  engine: here('./engine.js'),
  preload: here('../preload/preload.cjs'),
  renderer: here('../renderer'),
  icon: here('../icons/icon.png'),
};
