// A host's way out: one port of every bridge, behind which the bridges of the same name on the other hosts are.
// The checksum offload of a real card is kept as a mark on the frame, so a frame may cross with its checksum still blank.
// Invariant: a frame that came in is not sent out again (the switch never returns a frame to its port).

import type { Switch, SwitchPort } from './switch.ts';

/** A frame between two hosts. */
export interface LinkFrame {
  /** Virtual ns: when it left its host; on arrival, when it reaches the other. */
  at: number;
  bridge: string;
  bytes: Uint8Array<ArrayBuffer>;
  checksumBlank: boolean;
}

/** Frames kept while nobody takes them; more are dropped, as a card's queue would. */
const MAX_QUEUED = 4096;

/** What the uplinks need of their host. */
export interface UplinkHost {
  now(): number;
  schedule(at: number, callback: () => void): unknown;
}

export class Uplinks {
  private readonly host: UplinkHost;
  private readonly ports = new Map<string, { bridge: Switch; port: SwitchPort }>();
  private queue: LinkFrame[] = [];

  constructor(host: UplinkHost) {
    this.host = host;
  }

  /** Gives a bridge its way out. */
  attach(name: string, bridge: Switch): void {
    const port: SwitchPort = {
      deliver: (frame, checksumBlank) => {
        if (this.queue.length < MAX_QUEUED)
          this.queue.push({ at: this.host.now(), bridge: name, bytes: new Uint8Array(frame), checksumBlank });
      },
    };
    bridge.plug(port);
    this.ports.set(name, { bridge, port });
  }

  /** Takes what has left since the last call. */
  take(): LinkFrame[] {
    return this.queue.splice(0);
  }

  /** Frames from other hosts, each at its time of arrival (not before now). A bridge that this host lacks drops them. */
  receive(frames: readonly LinkFrame[]): void {
    for (const { at, bridge, bytes, checksumBlank } of frames) {
      const end = this.ports.get(bridge);
      if (end)
        this.host.schedule(Math.max(at, this.host.now()), () => end.bridge.forward(end.port, bytes, checksumBlank));
    }
  }
}
