/** The stand-in's message ports keep order, wait for start(), and refuse what Electron refuses. */
import { describe, expect, it } from 'vitest';
import {
  partnerOf,
  PortRegistry,
  type MessagePortMain,
  type MessageRouter,
  type PortMessage,
} from '../../standin/message-ports.ts';

/** Two processes whose messages cross as they would over a wire, each hop in its own turn. */
function twoProcesses(): { here: PortRegistry; there: PortRegistry; carry: (ids: string[]) => MessagePortMain[] } {
  const to = (other: () => PortRegistry): MessageRouter => ({
    route: (endpoint: string, message: PortMessage) =>
      setImmediate(() => {
        other().expect(message.ports);
        other().send(endpoint, message);
      }),
    routeClose: (endpoint: string) => setImmediate(() => other().sendClose(endpoint)),
  });
  const here: PortRegistry = new PortRegistry(to(() => there));
  const there: PortRegistry = new PortRegistry(to(() => here));
  return { here, there, carry: (ids) => ids.map((id) => there.adopt(id)) };
}

const received = (port: MessagePortMain, count: number): Promise<unknown[]> =>
  new Promise((resolve) => {
    const data: unknown[] = [];
    port.on('message', (event) => {
      data.push(event.data);
      if (data.length === count) resolve(data);
    });
    port.start();
  });

describe('MessagePortMain', () => {
  it('keeps messages until start, in order', async () => {
    const { port1, port2 } = twoProcesses().here.createChannel();
    port1.postMessage(1);
    port1.postMessage({ two: 2n });
    const all = received(port2, 3);
    port1.postMessage('three');
    expect(await all).toEqual([1, { two: 2n }, 'three']);
  });

  it('never delivers inside postMessage', async () => {
    const { port1, port2 } = twoProcesses().here.createChannel();
    let delivered = false;
    const all = received(port2, 1).then(() => (delivered = true));
    port1.postMessage(1);
    expect(delivered).toBe(false);
    await all;
  });

  it('carries on in another process, with what had not been delivered first', async () => {
    const { here, carry } = twoProcesses();
    const { port1, port2 } = here.createChannel();
    port1.postMessage('before');
    const [arrived] = carry([here.release(port2)]) as [MessagePortMain];
    const all = received(arrived, 2);
    port1.postMessage('after');
    expect(await all).toEqual(['before', 'after']);
    const back = received(port1, 1);
    arrived.postMessage('back');
    expect(await back).toEqual(['back']);
  });

  it('carries ports over ports', async () => {
    const { here, carry } = twoProcesses();
    const outer = here.createChannel();
    const inner = here.createChannel();
    const [far] = carry([here.release(outer.port2)]) as [MessagePortMain];
    const arrival = new Promise<MessagePortMain>((resolve) =>
      far.on('message', (event) => resolve(event.ports[0] as MessagePortMain)),
    );
    far.start();
    outer.port1.postMessage('take it', [inner.port2]);
    inner.port1.postMessage('inside');
    expect(await received(await arrival, 1)).toEqual(['inside']);
  });

  it('tells the other end when it closes, after what was sent before', async () => {
    const { here, carry } = twoProcesses();
    const { port1, port2 } = here.createChannel();
    const [far] = carry([here.release(port2)]) as [MessagePortMain];
    const seen: string[] = [];
    const closed = new Promise<void>((resolve) => far.on('close', () => (seen.push('close'), resolve())));
    far.on('message', (event) => seen.push(String(event.data)));
    far.start();
    port1.postMessage('last');
    port1.close();
    await closed;
    expect(seen).toEqual(['last', 'close']);
  });

  it('refuses array buffers in the transfer list, as Electron does', () => {
    const { port1 } = twoProcesses().here.createChannel();
    expect(() => port1.postMessage(1, [new ArrayBuffer(1) as never])).toThrow('Invalid value for transfer');
  });

  it('refuses a port that was transferred', () => {
    const { here } = twoProcesses();
    const { port1, port2 } = here.createChannel();
    here.release(port2);
    expect(() => port2.postMessage(1)).toThrow('transferred');
    expect(() => port1.postMessage(1, [port2])).toThrow();
  });

  it('names the other end of every endpoint', () => {
    for (const [one, other] of [
      ['c/1', 'c/2'],
      ['c/page', 'c/away'],
    ] as const) {
      expect(partnerOf(one)).toBe(other);
      expect(partnerOf(other)).toBe(one);
    }
  });
});
