// The typed proxies over a real MessageChannel: what crosses, what is refused, and what is cleaned up afterwards.
import { MessageChannel } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { BulkheadError } from '../../../shared/errors.ts';
import { connect, event, fromNodePort, method, serve, type CallContext, type Client } from '../../../shared/rpc.ts';

const service = {
  name: 'test',
  methods: {
    add: method<number>()(z.strictObject({ a: z.int(), b: z.int().default(1) })),
    fail: method<void>()(z.strictObject({ how: z.enum(['typed', 'defect', 'uncloneable']) })),
    wait: method<string>()(z.strictObject({})),
    size: method<number>()(z.strictObject({ bytes: z.instanceof(Uint8Array) })),
  },
  events: { count: event<number>()(z.strictObject({ from: z.int().min(0) })) },
} as const;

class Bench {
  readonly client: Client<typeof service>;
  readonly channel = new MessageChannel();
  readonly stopServing: () => void;
  /** Every `wait` that runs on the serving side. */
  readonly waiting: { context: CallContext; finish: (v: string) => void }[] = [];
  readonly senders = new Set<(n: number) => void>();
  #started: () => void = () => {};

  constructor() {
    this.stopServing = serve(
      service,
      {
        methods: {
          add: ({ a, b }) => a + b,
          fail: ({ how }) => {
            if (how === 'defect') throw new TypeError('undefined is not a table');
            if (how === 'uncloneable') return (() => {}) as never;
            throw new BulkheadError({ code: 'not-found', what: 'A.', why: 'B.', action: 'C.', field: 'hosts[0].name' });
          },
          wait: (_params, context) =>
            new Promise((finish) => {
              this.waiting.push({ context, finish });
              this.#started();
            }),
          size: ({ bytes }) => bytes.length,
        },
        events: {
          count: ({ from }, send) => {
            this.senders.add(send);
            send(from);
            return () => this.senders.delete(send);
          },
        },
      },
      fromNodePort(this.channel.port1),
    );
    this.client = connect(service, fromNodePort(this.channel.port2));
  }
  /** Resolves when the serving side has begun its next `wait`. */
  nextWait(): Promise<void> {
    return new Promise((resolve) => (this.#started = resolve));
  }
  /** Resolves when everything sent before has been handled at the other end: messages keep their order. */
  async flushed(): Promise<void> {
    await this.client.add({ a: 0 });
  }
}

let benches: Bench[] = [];
const bench = (): Bench => {
  const b = new Bench();
  benches.push(b);
  return b;
};
afterEach(() => {
  for (const b of benches) b.channel.port1.close();
  benches = [];
});
const refusal = async (p: Promise<unknown>): Promise<BulkheadError> => {
  const e = await p.then(
    (v) => expect.fail(`resolved with ${String(v)}`),
    (thrown: unknown) => thrown,
  );
  expect(e).toBeInstanceOf(BulkheadError);
  return e as BulkheadError;
};

describe('requests', () => {
  it('carry parameters, with defaults filled in by the receiving side, and results', async () => {
    const { client } = bench();
    expect(await client.add({ a: 2, b: 40 })).toBe(42);
    expect(await client.add({ a: 2 })).toBe(3);
  });

  it('are refused with field, finding and rule when they do not fit the schema', async () => {
    const { client } = bench();
    const e = await refusal(client.add({ a: 1.5 }));
    expect(e.code).toBe('invalid-argument');
    expect(e.sentences.field).toBe('a');
    expect(e.sentences.why).toContain('1.5');
    expect(e.sentences.why).toMatch(/int/);
    const unknownKey = await refusal(client.add({ a: 1, c: 2 } as never));
    expect(unknownKey.sentences.why).toContain('"c"');
  });

  it('are refused when the method is unknown, also by names that every object has', async () => {
    const b = bench();
    for (const name of ['nothing', 'toString', '__proto__', 'constructor']) {
      const answer = new Promise<{ t: string; error: { code: string } }>((resolve) =>
        b.channel.port2.on('message', (m) => m.id === 900 && resolve(m)),
      );
      b.channel.port2.postMessage({ t: 'call', id: 900, service: 'test', method: name, params: {} });
      expect(await answer).toMatchObject({ t: 'error', error: { code: 'invalid-argument' } });
    }
  });

  it('do not disturb the service when they are no messages at all', async () => {
    const b = bench();
    for (const m of [null, 7, 'call', [], { t: 'call' }, { t: 1, id: 1 }, { t: 'off', id: 5 }, { t: 'cancel', id: 5 }])
      b.channel.port2.postMessage(m);
    expect(await b.client.add({ a: 1 })).toBe(2);
  });

  it('bring typed errors back with the same code, sentences and field', async () => {
    const e = await refusal(bench().client.fail({ how: 'typed' }));
    expect(e.sentences).toEqual({ code: 'not-found', what: 'A.', why: 'B.', action: 'C.', field: 'hosts[0].name' });
    expect(e.message).toBe('A. B. C.');
  });

  it('bring a defect back as internal, its message only among the details', async () => {
    const e = await refusal(bench().client.fail({ how: 'defect' }));
    expect(e.code).toBe('internal');
    expect(e.message).not.toContain('table');
    expect(e.sentences.details).toContain('undefined is not a table');
  });

  it('answer with an error when the result cannot be cloned', async () => {
    expect((await refusal(bench().client.fail({ how: 'uncloneable' }))).code).toBe('internal');
  });

  it('reject when the parameters cannot be cloned, and the client goes on', async () => {
    const { client } = bench();
    await expect(client.add({ a: (() => {}) as never })).rejects.toThrow(/clone/);
    expect(await client.add({ a: 4 })).toBe(5);
  });

  it('transfer what is named for transfer', async () => {
    const bytes = new Uint8Array(1024);
    expect(await bench().client.size({ bytes }, { transfer: [bytes.buffer] })).toBe(1024);
    expect(bytes.length).toBe(0);
  });
});

describe('cancellation and progress', () => {
  it('reports progress until the result', async () => {
    const b = bench();
    const seen: [number | null, string][] = [];
    const begun = b.nextWait();
    const result = b.client.wait({}, { onProgress: (...p) => seen.push(p) });
    await begun;
    b.waiting[0]!.context.progress(0.5, 'half way');
    b.waiting[0]!.context.progress(null, 'unpacking');
    b.waiting[0]!.finish('done');
    expect(await result).toBe('done');
    expect(seen).toEqual([
      [0.5, 'half way'],
      [null, 'unpacking'],
    ]);
  });

  it('tells the service and rejects at once when aborted', async () => {
    const b = bench();
    const controller = new AbortController();
    const begun = b.nextWait();
    const result = refusal(b.client.wait({}, { signal: controller.signal }));
    await begun;
    expect(b.waiting[0]!.context.signal.aborted).toBe(false);
    controller.abort();
    expect((await result).code).toBe('cancelled');
    await b.flushed();
    expect(b.waiting[0]!.context.signal.aborted).toBe(true);
  });

  it('sends nothing when aborted before', async () => {
    const b = bench();
    expect((await refusal(b.client.wait({}, { signal: AbortSignal.abort() }))).code).toBe('cancelled');
    await b.flushed();
    expect(b.waiting).toHaveLength(0);
  });

  it('says nothing about a call that has ended', async () => {
    const b = bench();
    const controller = new AbortController();
    expect(await b.client.add({ a: 1 }, { signal: controller.signal })).toBe(2);
    const said: unknown[] = [];
    b.channel.port1.on('message', (m) => said.push(m));
    controller.abort();
    await b.flushed();
    expect(said).toEqual([expect.objectContaining({ t: 'call', method: 'add' })]);
  });
});

describe('subscriptions', () => {
  it('carry events until they are ended, each to its own listener', async () => {
    const b = bench();
    const [one, two]: [number[], number[]] = [[], []];
    const end = b.client.on('count', { from: 1 }, (n) => one.push(n));
    b.client.on('count', { from: 100 }, (n) => two.push(n));
    await b.flushed();
    for (const send of b.senders) send(7);
    await b.flushed();
    end();
    await b.flushed();
    expect(b.senders.size).toBe(1);
    for (const send of b.senders) send(8);
    await b.flushed();
    expect(one).toEqual([1, 7]);
    expect(two).toEqual([100, 7, 8]);
  });

  it('tell why they were refused', async () => {
    const b = bench();
    const why: BulkheadError[] = [];
    b.client.on(
      'count',
      { from: -1 },
      () => expect.fail('an event came'),
      (e) => why.push(e),
    );
    await b.flushed();
    expect(why.map((e) => [e.code, e.sentences.field])).toEqual([['invalid-argument', 'from']]);
    expect(b.senders.size).toBe(0);
  });

  it('end the earlier one when a peer uses a number twice', async () => {
    const b = bench();
    for (let i = 0; i < 3; i++)
      b.channel.port2.postMessage({ t: 'on', id: 50, service: 'test', event: 'count', filter: { from: 0 } });
    await b.flushed();
    expect(b.senders.size).toBe(1);
  });
});

describe('the end of a port', () => {
  it('rejects what waits and what comes later, and ends subscriptions at both ends', async () => {
    const b = bench();
    const begun = b.nextWait();
    const result = refusal(b.client.wait({}));
    const ended: BulkheadError[] = [];
    b.client.on(
      'count',
      { from: 0 },
      () => {},
      (e) => ended.push(e),
    );
    await begun;
    await b.flushed();
    expect(b.senders.size).toBe(1);
    const serving = new Promise((resolve) => b.channel.port1.once('close', resolve));
    b.channel.port1.close();
    expect((await result).code).toBe('engine-stopped');
    await b.client.closed;
    await serving;
    expect(ended.map((e) => e.code)).toEqual(['engine-stopped']);
    expect(b.senders.size).toBe(0);
    expect(b.waiting[0]!.context.signal.aborted).toBe(true);
    expect((await refusal(b.client.add({ a: 1 }))).code).toBe('engine-stopped');
  });

  it('stops serving without closing when asked to', async () => {
    const b = bench();
    b.client.on('count', { from: 0 }, () => {});
    await b.flushed();
    b.stopServing();
    expect(b.senders.size).toBe(0);
  });
});
