/**
 * contextBridge between two JavaScript worlds of one page: values are copied, functions and promises are stood in for.
 *
 * The worlds share the DOM but no objects. A CustomEvent dispatched on the document is delivered to both at once, and
 * Chromium clones its `detail` when another world reads it; that makes synchronous calls possible. The event's name is a
 * secret of the two injected scripts. Runs in the page: no imports.
 */

type Path = (string | number)[];

/** A copied value with the places where functions and promises stood. */
interface Copied {
  value: unknown;
  functions: { path: Path; id: number }[];
  promises: { path: Path; id: number }[];
}

type Call = { kind: 'call'; id: number; args: Copied } | { kind: 'settle'; id: number; ok: boolean; value: Copied };
type Reply = { ok: true; value: Copied } | { ok: false; error: unknown };

export interface WorldBridge {
  /** Copies a value for the other world; its functions stay callable from there. */
  copyOut(value: unknown): Copied;
  /** Makes a value out of the other world's copy. */
  copyIn(copied: Copied): unknown;
  /** Calls a function of the other world and waits for what it returns. */
  call(id: number, args: readonly unknown[]): unknown;
  /** Makes a function callable from the other world under a fixed id, for the first contact. */
  publish(id: number, callee: (...args: unknown[]) => unknown): void;
}

/**
 * @param outgoing secret name of the events this world sends
 * @param incoming secret name of the events it receives
 */
export function createWorldBridge(outgoing: string, incoming: string): WorldBridge {
  // Kept from the time before any script of the page ran: a page cannot replace them.
  const NativeEvent = CustomEvent;
  const node = document;
  const dispatch = node.dispatchEvent.bind(node);
  const functions = new Map<number, (...args: unknown[]) => unknown>();
  const idOfFunction = new WeakMap<object, number>();
  const waiting = new Map<number, { resolve(value: unknown): void; reject(reason: unknown): void }>();
  let nextId = 1000;
  let reply: Reply | null = null;

  const send = (message: Call): Reply => {
    reply = null;
    dispatch(new NativeEvent(outgoing, { detail: message }));
    const received = reply as Reply | null;
    reply = null;
    return received ?? { ok: false, error: new Error('The other world of this page does not answer.') };
  };

  node.addEventListener(`${incoming}:reply`, (event) => {
    reply = (event as CustomEvent<Reply>).detail;
  });
  node.addEventListener(incoming, (event) => {
    const message = (event as CustomEvent<Call>).detail;
    let answer: Reply;
    try {
      answer = { ok: true, value: copyOut(receive(message)) };
    } catch (error) {
      answer = { ok: false, error: copyError(error) };
    }
    dispatch(new NativeEvent(`${outgoing}:reply`, { detail: answer }));
  });

  function receive(message: Call): unknown {
    if (message.kind === 'call') {
      const callee = functions.get(message.id);
      if (callee === undefined) throw new Error('This function belongs to a page that is gone.');
      return callee(...(copyIn(message.args) as unknown[]));
    }
    const settle = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.ok) settle?.resolve(copyIn(message.value));
    else settle?.reject(copyIn(message.value));
    return undefined;
  }

  // Only the message crosses, as Electron documents; the stack names files of the other world.
  function copyError(error: unknown): unknown {
    return error instanceof Error ? new Error(error.message) : copyOut(error).value;
  }

  function copyOut(value: unknown): Copied {
    const copied: Copied = { value: undefined, functions: [], promises: [] };
    copied.value = walk(value, [], copied, new Map());
    return copied;
  }

  function walk(value: unknown, path: Path, into: Copied, seen: Map<object, unknown>): unknown {
    if (typeof value === 'function') {
      into.functions.push({ path, id: register(value as (...args: unknown[]) => unknown) });
      return undefined;
    }
    if (typeof value === 'symbol') throw new TypeError('A symbol cannot cross contextBridge.');
    if (typeof value !== 'object' || value === null) return value;
    const known = seen.get(value);
    if (known !== undefined) return known;
    if (value instanceof Promise) {
      const id = nextId++;
      into.promises.push({ path, id });
      value.then(
        (result) => send({ kind: 'settle', id, ok: true, value: copyOut(result) }),
        (error: unknown) =>
          send({ kind: 'settle', id, ok: false, value: { value: copyError(error), functions: [], promises: [] } }),
      );
      return undefined;
    }
    if (Array.isArray(value)) {
      const copy: unknown[] = [];
      seen.set(value, copy);
      value.forEach((item, index) => (copy[index] = walk(item, [...path, index], into, seen)));
      return copy;
    }
    if (Object.prototype.toString.call(value) !== '[object Object]') return value; // cloned by the browser, or refused
    const copy: Record<string, unknown> = {};
    seen.set(value, copy);
    for (const [key, item] of Object.entries(value)) copy[key] = walk(item, [...path, key], into, seen);
    return copy;
  }

  function copyIn(copied: Copied): unknown {
    let root = copied.value;
    const put = (path: Path, value: unknown): void => {
      if (path.length === 0) {
        root = value;
        return;
      }
      let holder = root as Record<string | number, unknown>;
      for (const step of path.slice(0, -1)) holder = holder[step] as Record<string | number, unknown>;
      holder[path[path.length - 1]] = value;
    };
    for (const { path, id } of copied.functions) put(path, (...args: unknown[]) => call(id, args));
    for (const { path, id } of copied.promises) {
      put(path, new Promise((resolve, reject) => waiting.set(id, { resolve, reject })));
    }
    return root;
  }

  function register(callee: (...args: unknown[]) => unknown): number {
    const known = idOfFunction.get(callee);
    if (known !== undefined) return known;
    const id = nextId++;
    functions.set(id, callee);
    idOfFunction.set(callee, id);
    return id;
  }

  function call(id: number, args: readonly unknown[]): unknown {
    const answer = send({ kind: 'call', id, args: copyOut(args) });
    if (!answer.ok) throw answer.error;
    return copyIn(answer.value);
  }

  return {
    copyOut,
    copyIn,
    call,
    publish: (id, callee) => functions.set(id, callee),
  };
}
