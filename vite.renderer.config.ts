/**
 * The renderer's bundle: renderer/ into out/renderer. Run by scripts/build.ts, and by `vite` itself for a look at the
 * page while working on it.
 */
import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'vite';

export default defineConfig({
  root: 'renderer',
  // The page is served from app://bulkhead/.
  base: '/',
  plugins: [vue()],
  define: {
    // Vue's options API and its devtools are not used in the bundle.
    __VUE_OPTIONS_API__: 'false',
    __VUE_PROD_DEVTOOLS__: 'false',
    __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
  },
  build: {
    outDir: '../out/renderer',
    emptyOutDir: true,
    // Electron's own Chromium is the only browser.
    target: 'chrome140',
    // Fonts and icons stay files: the Content-Security-Policy allows no data: fonts.
    assetsInlineLimit: 0,
    // A polyfill script would have to be inline.
    modulePreload: { polyfill: false },
    sourcemap: true,
    chunkSizeWarningLimit: 2000,
  },
});
