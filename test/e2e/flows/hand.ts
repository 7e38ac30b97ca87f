/**
 * What a person does in each flow of the user interface, whichever hand does it; what is seen afterwards is the same.
 */
import type { Page } from '@playwright/test';

export interface Hand {
  bootFirst(page: Page): Promise<void>;
  /** Gives the keys to the guest, and takes them back: the focus is on the domain's tile then. */
  toConsole(page: Page): Promise<void>;
  leaveConsole(page: Page, name: string): Promise<void>;
  /** Boots one of a template's offers (its label, "PV 64") on the host that is there. */
  createFromShelf(page: Page, template: string, offer: string): Promise<void>;
  createFromPalette(page: Page): Promise<void>;
  /** Asks for a file; then accepts what the sheet says of it. */
  openImport(page: Page): Promise<void>;
  createImported(page: Page): Promise<void>;
  select(page: Page, name: string): Promise<void>;
  pause(page: Page): Promise<void>;
  unpause(page: Page): Promise<void>;
  save(page: Page): Promise<void>;
  /** Brings a saved domain back on alder. */
  restore(page: Page, name: string): Promise<void>;
  clone(page: Page): Promise<void>;
  destroy(page: Page): Promise<void>;
  undo(page: Page): Promise<void>;
  addHost(page: Page): Promise<void>;
  stopClock(page: Page): Promise<void>;
  startClock(page: Page): Promise<void>;
  /** Starts to move a domain to birch, once the prediction was read. */
  migrate(page: Page, name: string): Promise<void>;
  abort(page: Page): Promise<void>;
  /** Reads a value of the CPU chart, pins it, chooses a range, and asks for its table. */
  readChart(page: Page): Promise<void>;
  /** Goes to the Migrations view and exports its run as CSV. */
  exportRun(page: Page): Promise<void>;
  /** Goes to the Scheduler view and chooses a range of what is shown. */
  schedule(page: Page): Promise<void>;
}
