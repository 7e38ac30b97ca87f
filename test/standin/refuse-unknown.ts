/**
 * The stand-in's promise to be loud: what it does not emulate throws a sentence naming it, instead of being undefined.
 */

/** Names that Node, Vitest and promises look for on any object. */
const innocent = new Set(['then', 'toJSON', 'constructor', 'asymmetricMatch', 'nodeType', '$$typeof', 'inspect']);

/** @param name as Electron's documentation writes it, for the sentence. */
export function refuseUnknown<Api extends object>(name: string, api: Api): Api {
  return new Proxy(api, {
    get(target, key) {
      if (typeof key === 'symbol' || key in target || innocent.has(key)) {
        const value = Reflect.get(target, key, target) as unknown;
        // Private fields need the real object as `this`.
        return typeof value === 'function' && !isClass(value) ? bound(target, key, value as Callable) : value;
      }
      throw new Error(`The stand-in for Electron does not emulate ${name}.${key}.`);
    },
    set(target, key, value) {
      if (typeof key === 'string' && !(key in target)) {
        throw new Error(`The stand-in for Electron does not emulate setting ${name}.${key}.`);
      }
      return Reflect.set(target, key, value, target);
    },
  });
}

/** Throws when `options` has a property that is not listed: an option that would silently do nothing. */
export function refuseUnknownOptions(name: string, options: object, known: readonly string[]): void {
  for (const key of Object.keys(options)) {
    if (!known.includes(key))
      throw new Error(`The stand-in for Electron does not emulate the option ${key} of ${name}.`);
  }
}

type Callable = (...args: unknown[]) => unknown;

const boundMethods = new WeakMap<object, Map<PropertyKey, { of: Callable; bound: Callable }>>();

/** The same function for the same method, so that `off(on(...))` style comparisons hold. */
function bound(target: object, key: PropertyKey, method: Callable): Callable {
  let methods = boundMethods.get(target);
  if (methods === undefined) boundMethods.set(target, (methods = new Map()));
  const known = methods.get(key);
  if (known?.of === method) return known.bound;
  const result = method.bind(target) as Callable;
  methods.set(key, { of: method, bound: result });
  return result;
}

function isClass(value: unknown): boolean {
  return typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value));
}
