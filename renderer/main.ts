// The renderer's entry: fonts, styles, the stores, the window.
import '@fontsource-variable/ibm-plex-sans';
import '@fontsource/ibm-plex-mono/400.css';
import '@fontsource/ibm-plex-mono/500.css';
import '@fontsource/ibm-plex-mono/600.css';
import './styles/tokens.css';
import './styles/base.css';
import './styles/controls.css';
import { createPinia } from 'pinia';
import { createApp, watch } from 'vue';
import type { BulkheadBridge } from '../shared/bridge.ts';
import App from './App.vue';
import { followTheme } from './composables/theme.ts';
import { useLab } from './stores/lab.ts';
import { useSession } from './stores/session.ts';

declare global {
  interface Window {
    readonly bulkhead: BulkheadBridge;
  }
}

const bridge = window.bulkhead;
const app = createApp(App, { bridge });
app.use(createPinia());

const session = useSession();
const lab = useLab();
session.open(bridge);
watch(
  () => lab.name,
  (name) => name && void bridge.window.setTitle(name),
);
await followTheme(bridge);
app.mount('#app');
