/**
 * Where each travelling endpoint lives now: in this process, in a utility process, or in a page. One per app.
 */
import { PortRegistry, partnerOf, type MessageRouter, type PortMessage } from './message-ports.ts';

/** A utility process or a page: something outside this process that endpoints can live in. */
export interface PortHolder {
  deliver(endpoint: string, message: PortMessage): void;
  deliverClose(endpoint: string): void;
}

const holders = new Map<string, PortHolder>();

const router: MessageRouter = {
  route(endpoint, message) {
    deliver(endpoint, message);
  },
  routeClose(endpoint) {
    const holder = holders.get(endpoint);
    holders.delete(endpoint);
    holder?.deliverClose(endpoint);
  },
};

/** The endpoints of the main process. */
export const mainPorts = new PortRegistry(router);

/** Endpoints go to a holder; whatever is sent to them from now on goes there. Call just before the message that carries them is sent. */
export function moveTo(holder: PortHolder, endpoints: readonly string[]): void {
  for (const endpoint of endpoints) holders.set(endpoint, holder);
}

/** A holder posted on one of its endpoints. */
export function deliverFrom(from: string, message: PortMessage): void {
  deliver(partnerOf(from), message);
}

/** A holder closed one of its endpoints. */
export function closeFrom(from: string): void {
  holders.delete(from);
  mainPorts.sendClose(partnerOf(from));
}

/** A holder is gone, and its endpoints with it: the other ends hear `close`. */
export function closeAllOf(holder: PortHolder): void {
  for (const [endpoint, other] of [...holders]) {
    if (other === holder) closeFrom(endpoint);
  }
}

function deliver(endpoint: string, message: PortMessage): void {
  const holder = holders.get(endpoint);
  if (holder !== undefined) {
    moveTo(holder, message.ports);
    holder.deliver(endpoint, message);
  } else if (mainPorts.has(endpoint)) {
    mainPorts.send(endpoint, message);
  }
  // Else the endpoint was closed: postMessage to a closed port is lost, as in Electron.
}
