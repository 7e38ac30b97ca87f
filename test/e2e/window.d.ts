/** The bridge as tests see it inside the page. */
import type { BulkheadBridge } from '../../shared/bridge.ts';

declare global {
  interface Window {
    readonly bulkhead: BulkheadBridge;
  }
}
