/**
 * Who may speak to the main process: the top frame of one of our windows, showing our own bundle (checklist item 17).
 */
import type { IpcMainInvokeEvent } from 'electron';
import { isOwnAddress } from './security.ts';

/** True when the message comes from a page that this app itself loaded. */
export function isTrustedSender(event: IpcMainInvokeEvent): boolean {
  const frame = event.senderFrame;
  if (frame === null || frame.parent !== null) return false;
  return isOwnAddress(frame.url);
}
