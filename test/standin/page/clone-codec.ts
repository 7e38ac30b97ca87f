/**
 * Structured clone as bytes, so that values can travel between Node and Chromium over a WebSocket.
 *
 * Covers what HTML's structured clone covers and this app can meet: primitives, BigInt, Date, RegExp, Map, Set, Error,
 * plain objects, arrays with holes, ArrayBuffer and its views, shared references and cycles, and ports by their place in
 * the transfer list. Anything else is refused with a DataCloneError, as postMessage does. Runs in Node and in the page:
 * no imports.
 */

const tag = {
  undefined: 0, null: 1, false: 2, true: 3, int32: 4, double: 5, string: 6, wideString: 7, bigint: 8, date: 9,
  regexp: 10, object: 11, array: 12, map: 13, set: 14, error: 15, buffer: 16, view: 17, reference: 18, port: 19, hole: 20,
} as const; // prettier-ignore

const viewTypes: readonly (readonly [
  string,
  new (buffer: ArrayBuffer, offset: number, length: number) => ArrayBufferView,
])[] = [
  ['Int8Array', Int8Array],
  ['Uint8Array', Uint8Array],
  ['Uint8ClampedArray', Uint8ClampedArray],
  ['Int16Array', Int16Array],
  ['Uint16Array', Uint16Array],
  ['Int32Array', Int32Array],
  ['Uint32Array', Uint32Array],
  ['Float32Array', Float32Array],
  ['Float64Array', Float64Array],
  ['BigInt64Array', BigInt64Array],
  ['BigUint64Array', BigUint64Array],
  ['DataView', DataView],
];

const errorConstructors: Readonly<Record<string, ErrorConstructor>> = {
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};

/** Bytes of one value. `ports` are the objects that may stand for a transferred port; they are written as their index. */
export function encodeClone(value: unknown, ports: readonly unknown[] = []): Uint8Array<ArrayBuffer> {
  const writer = new Writer(ports);
  writer.value(value);
  return writer.bytes();
}

/** The value of `encodeClone`'s bytes. `ports[n]` takes the place of the n-th transferred port. */
export function decodeClone(bytes: Uint8Array, ports: readonly unknown[] = []): unknown {
  return new Reader(bytes, ports).value();
}

function cannotClone(what: string): DOMException {
  return new DOMException(`${what} could not be cloned.`, 'DataCloneError');
}

class Writer {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;
  readonly #seen = new Map<object, number>();
  readonly #ports: readonly unknown[];

  constructor(ports: readonly unknown[]) {
    this.#ports = ports;
  }

  bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  value(value: unknown): void {
    switch (typeof value) {
      case 'undefined':
        this.#byte(tag.undefined);
        return;
      case 'boolean':
        this.#byte(value ? tag.true : tag.false);
        return;
      case 'number':
        if ((value | 0) === value && !Object.is(value, -0)) {
          this.#byte(tag.int32);
          // Growing replaces the view, so it comes first.
          const at = this.#grow(4);
          this.#view.setInt32(at, value);
        } else {
          this.#byte(tag.double);
          const at = this.#grow(8);
          this.#view.setFloat64(at, value);
        }
        return;
      case 'string':
        this.#string(value);
        return;
      case 'bigint':
        this.#byte(tag.bigint);
        this.#string(value.toString(16));
        return;
      case 'object':
        if (value === null) this.#byte(tag.null);
        else this.#object(value);
        return;
      default:
        throw cannotClone(typeof value === 'function' ? `function ${value.name}` : String(value));
    }
  }

  #object(value: object): void {
    const port = this.#ports.indexOf(value);
    if (port >= 0) {
      this.#byte(tag.port);
      this.#uint(port);
      return;
    }
    const earlier = this.#seen.get(value);
    if (earlier !== undefined) {
      this.#byte(tag.reference);
      this.#uint(earlier);
      return;
    }
    // A view's buffer is numbered before the view, as the reader meets it.
    if (ArrayBuffer.isView(value)) {
      this.#viewOf(value);
      return;
    }
    this.#seen.set(value, this.#seen.size);
    if (Array.isArray(value)) this.#array(value);
    else if (value instanceof ArrayBuffer) this.#buffer(value);
    else if (value instanceof Date) {
      this.#byte(tag.date);
      const at = this.#grow(8);
      this.#view.setFloat64(at, value.getTime());
    } else if (value instanceof RegExp) {
      this.#byte(tag.regexp);
      this.#string(value.source);
      this.#string(value.flags);
    } else if (value instanceof Map) {
      this.#byte(tag.map);
      this.#uint(value.size);
      for (const [key, item] of value) {
        this.value(key);
        this.value(item);
      }
    } else if (value instanceof Set) {
      this.#byte(tag.set);
      this.#uint(value.size);
      for (const item of value) this.value(item);
    } else if (value instanceof Error) this.#error(value);
    else {
      const kind = Object.prototype.toString.call(value).slice(8, -1);
      if (kind !== 'Object') throw cannotClone(`#<${kind}>`);
      this.#byte(tag.object);
      this.#properties(value);
    }
  }

  #properties(value: object): void {
    const keys = Object.keys(value);
    this.#uint(keys.length);
    for (const key of keys) {
      this.#string(key);
      this.value((value as Record<string, unknown>)[key]);
    }
  }

  #array(value: readonly unknown[]): void {
    this.#byte(tag.array);
    this.#uint(value.length);
    for (let index = 0; index < value.length; index++) {
      if (index in value) this.value(value[index]);
      else this.#byte(tag.hole);
    }
  }

  #error(value: Error): void {
    this.#byte(tag.error);
    this.#string(value.name in errorConstructors ? value.name : 'Error');
    this.#string(value.message);
    this.#string(value.stack ?? '');
    this.value('cause' in value ? value.cause : undefined);
  }

  #buffer(value: ArrayBuffer): void {
    this.#byte(tag.buffer);
    this.#uint(value.byteLength);
    const at = this.#grow(value.byteLength);
    this.#bytes.set(new Uint8Array(value), at);
  }

  #viewOf(value: ArrayBufferView): void {
    const kind = viewTypes.findIndex(([name]) => name === Object.prototype.toString.call(value).slice(8, -1));
    if (kind < 0 || !(value.buffer instanceof ArrayBuffer)) throw cannotClone('A view of shared memory');
    this.#byte(tag.view);
    this.#byte(kind);
    this.#uint(value.byteOffset);
    this.#uint(value instanceof DataView ? value.byteLength : (value as Uint8Array).length);
    this.value(value.buffer);
    this.#seen.set(value, this.#seen.size);
  }

  #string(value: string): void {
    if (value.isWellFormed()) {
      const encoded = new TextEncoder().encode(value);
      this.#byte(tag.string);
      this.#uint(encoded.length);
      const at = this.#grow(encoded.length);
      this.#bytes.set(encoded, at);
    } else {
      this.#byte(tag.wideString);
      this.#uint(value.length);
      for (let index = 0; index < value.length; index++) {
        const at = this.#grow(2);
        this.#view.setUint16(at, value.charCodeAt(index));
      }
    }
  }

  #byte(value: number): void {
    const at = this.#grow(1);
    this.#bytes[at] = value;
  }

  #uint(value: number): void {
    const at = this.#grow(4);
    this.#view.setUint32(at, value);
  }

  /** Makes room and returns where it starts. */
  #grow(size: number): number {
    const at = this.#length;
    if (at + size > this.#bytes.length) {
      const bigger = new Uint8Array(Math.max(this.#bytes.length * 2, at + size));
      bigger.set(this.#bytes);
      this.#bytes = bigger;
      this.#view = new DataView(bigger.buffer);
    }
    this.#length = at + size;
    return at;
  }
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #ports: readonly unknown[];
  readonly #seen: unknown[] = [];
  #at = 0;

  constructor(bytes: Uint8Array, ports: readonly unknown[]) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#ports = ports;
  }

  value(): unknown {
    const kind = this.#byte();
    switch (kind) {
      case tag.undefined:
        return undefined;
      case tag.null:
        return null;
      case tag.false:
        return false;
      case tag.true:
        return true;
      case tag.int32:
        return this.#view.getInt32(this.#skip(4));
      case tag.double:
        return this.#view.getFloat64(this.#skip(8));
      case tag.string:
      case tag.wideString:
        return this.#text(kind);
      case tag.bigint: {
        const digits = this.#string();
        return digits.startsWith('-') ? -BigInt(`0x${digits.slice(1)}`) : BigInt(`0x${digits}`);
      }
      case tag.reference:
        return this.#seen[this.#uint()];
      case tag.port:
        return this.#ports[this.#uint()];
      case tag.view:
        return this.#viewOf();
      default:
        return this.#object(kind);
    }
  }

  #object(kind: number): unknown {
    const place = this.#seen.push(undefined) - 1;
    const keep = <Value>(value: Value): Value => {
      this.#seen[place] = value;
      return value;
    };
    switch (kind) {
      case tag.date:
        return keep(new Date(this.#view.getFloat64(this.#skip(8))));
      case tag.regexp:
        return keep(new RegExp(this.#string(), this.#string()));
      case tag.buffer: {
        const size = this.#uint();
        const at = this.#skip(size);
        // Not #bytes.slice: a Buffer of Node would share its memory instead of copying.
        return keep(Uint8Array.prototype.slice.call(this.#bytes, at, at + size).buffer);
      }
      case tag.object: {
        const object = keep<Record<string, unknown>>({});
        const count = this.#uint();
        for (let index = 0; index < count; index++) {
          const key = this.#string();
          // Not an assignment: a key named __proto__ is a plain property here.
          Object.defineProperty(object, key, {
            value: this.value(),
            writable: true,
            enumerable: true,
            configurable: true,
          });
        }
        return object;
      }
      case tag.array: {
        const length = this.#uint();
        const array = keep<unknown[]>(new Array<unknown>(length));
        for (let index = 0; index < length; index++) {
          if (this.#bytes[this.#at] === tag.hole) this.#at++;
          else array[index] = this.value();
        }
        return array;
      }
      case tag.map: {
        const map = keep(new Map<unknown, unknown>());
        for (let count = this.#uint(); count > 0; count--) {
          const key = this.value();
          map.set(key, this.value());
        }
        return map;
      }
      case tag.set: {
        const set = keep(new Set<unknown>());
        for (let count = this.#uint(); count > 0; count--) set.add(this.value());
        return set;
      }
      case tag.error: {
        const constructor = errorConstructors[this.#string()] ?? Error;
        const error = keep(new constructor(this.#string()));
        Object.defineProperty(error, 'stack', { value: this.#string(), writable: true, configurable: true });
        const cause = this.value();
        if (cause !== undefined)
          Object.defineProperty(error, 'cause', { value: cause, writable: true, configurable: true });
        return error;
      }
      default:
        throw new DOMException(`Unknown tag ${kind} at byte ${this.#at - 1}.`, 'DataCloneError');
    }
  }

  #viewOf(): unknown {
    const type = viewTypes[this.#byte()];
    const offset = this.#uint();
    const length = this.#uint();
    const buffer = this.value() as ArrayBuffer;
    if (type === undefined) throw new DOMException('Unknown kind of view.', 'DataCloneError');
    const view = new type[1](buffer, offset, length);
    this.#seen.push(view);
    return view;
  }

  #string(): string {
    return this.#text(this.#byte());
  }

  #text(kind: number): string {
    const length = this.#uint();
    if (kind === tag.string) {
      const at = this.#skip(length);
      // ignoreBOM: a leading U+FEFF is part of the string.
      return new TextDecoder('utf-8', { ignoreBOM: true }).decode(this.#bytes.subarray(at, at + length));
    }
    let text = '';
    for (let index = 0; index < length; index++) text += String.fromCharCode(this.#view.getUint16(this.#skip(2)));
    return text;
  }

  #byte(): number {
    return this.#view.getUint8(this.#skip(1));
  }

  #uint(): number {
    return this.#view.getUint32(this.#skip(4));
  }

  #skip(size: number): number {
    const at = this.#at;
    if (at + size > this.#bytes.length) throw new DOMException('The message ends too early.', 'DataCloneError');
    this.#at += size;
    return at;
  }
}
