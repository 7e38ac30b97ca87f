// Serves the renderer with a fake bridge, to look at it while working on it:
// vite --config test/unit/renderer/preview/vite.config.ts
import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'vite';

export default defineConfig({
  root: import.meta.dirname,
  plugins: [vue()],
  server: { fs: { allow: ['../../../..'] } },
});
