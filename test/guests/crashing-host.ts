// The worker thread of a host in which a test can crash a guest at will: no guest of ours ends so by a command.
import { XenHost } from '../../main/toolstack/xen-host.ts';

/** Console input that crashes the domain in place of reaching it. */
const CRASH = '\0crash';

const input = XenHost.prototype.consoleInput;
XenHost.prototype.consoleInput = function (this: XenHost, domid: number, bytes: Uint8Array): void {
  if (Buffer.from(bytes).toString('latin1') === CRASH)
    this.host.domain(domid)!.crash('The guest crashed for the test.');
  else input.call(this, domid, bytes);
};

await import('../../main/engine/host-worker.ts');
