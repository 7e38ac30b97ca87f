// A learning Ethernet switch: one per bridge of a host.

/** One plug of the switch. */
export interface SwitchPort {
  /** A frame for this port. `checksumBlank`: its TCP/UDP checksum is still to be filled in (it never left the host). */
  deliver(frame: Uint8Array, checksumBlank: boolean): void;
}

/** Learned addresses are forgotten when there are more; a table of a real switch has such a limit too. */
const MAX_ADDRESSES = 1024;

export class Switch {
  private readonly ports = new Set<SwitchPort>();
  private readonly learned = new Map<string, SwitchPort>();
  /** Sees every frame that the switch forwards. */
  tap: ((frame: Uint8Array) => void) | null = null;

  plug(port: SwitchPort): void {
    this.ports.add(port);
  }

  unplug(port: SwitchPort): void {
    this.ports.delete(port);
    for (const [address, p] of this.learned) if (p === port) this.learned.delete(address);
  }

  private learn(source: string, port: SwitchPort): void {
    this.learned.delete(source);
    this.learned.set(source, port);
    if (this.learned.size > MAX_ADDRESSES) this.learned.delete(this.learned.keys().next().value!);
  }

  /**
   * A port that has just come here with an address of its own says so to every switch on the way (a RARP request about itself,
   * RFC 903, as QEMU announces a migrated machine). The port need not be plugged yet: its guest reconnects later.
   * @param mac its six bytes
   */
  announce(port: SwitchPort, mac: Uint8Array): void {
    const frame = new Uint8Array(60);
    frame.fill(0xff, 0, 6);
    frame.set(mac, 6);
    // type RARP, Ethernet and IPv4 addresses, request reverse
    frame.set([0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3], 12);
    frame.set(mac, 22);
    frame.set(mac, 32);
    this.tap?.(frame);
    this.learn(address(frame, 6), port);
    for (const other of this.ports) if (other !== port) other.deliver(frame, false);
  }

  /** Takes a frame (at least a header of 14 bytes) from a port. */
  forward(from: SwitchPort, frame: Uint8Array, checksumBlank: boolean): void {
    if (frame.length < 14) return;
    this.tap?.(frame);
    const source = address(frame, 6);
    // A group address is never a source; a frame can arrive after its sender was unplugged.
    if ((frame[6] & 1) === 0 && this.ports.has(from)) this.learn(source, from);
    const known = frame[0] & 1 ? undefined : this.learned.get(address(frame, 0));
    if (known) {
      if (known !== from) known.deliver(frame, checksumBlank);
      return;
    }
    for (const port of this.ports) if (port !== from) port.deliver(frame, checksumBlank);
  }
}

function address(frame: Uint8Array, at: number): string {
  let text = '';
  for (let i = at; i < at + 6; i++) text += String.fromCharCode(frame[i]);
  return text;
}
