// Scan codes of a US keyboard: which set 2 code a key sends, how the controller translates it, and which keys type a text.
// Source: the 8042's translation table (IBM PS/2 Technical Reference) and the "AT" key numbering.

/** Index: set 2 code; value: set 1 code. 0 marks codes that are not translated. */
const translation = new Uint8Array(256);
/** Set 1 codes 0x01..0x58 in order, and the set 2 code of each; 0 where no key has that code. */
// prettier-ignore
const set2OfSet1 = [
  0x00, 0x76, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45, 0x4e, 0x55, 0x66, 0x0d,
  0x15, 0x1d, 0x24, 0x2d, 0x2c, 0x35, 0x3c, 0x43, 0x44, 0x4d, 0x54, 0x5b, 0x5a, 0x14, 0x1c, 0x1b,
  0x23, 0x2b, 0x34, 0x33, 0x3b, 0x42, 0x4b, 0x4c, 0x52, 0x0e, 0x12, 0x5d, 0x1a, 0x22, 0x21, 0x2a,
  0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a, 0x59, 0x7c, 0x11, 0x29, 0x58, 0x05, 0x06, 0x04, 0x0c, 0x03,
  0x0b, 0x83, 0x0a, 0x01, 0x09, 0x77, 0x7e, 0x6c, 0x75, 0x7d, 0x7b, 0x6b, 0x73, 0x74, 0x79, 0x69,
  0x72, 0x7a, 0x70, 0x71, 0x84, 0x00, 0x61, 0x78, 0x07,
];
set2OfSet1.forEach((set2, set1) => {
  if (set2 !== 0) translation[set2] = set1;
});

/** Turns a set 2 byte stream into set 1 as the 8042 does. `release` says that an 0xf0 came before. */
export function translateToSet1(byte: number, release: boolean): number {
  const code = translation[byte] || byte;
  return release ? code | 0x80 : code;
}

/** Set 2 bytes of pressing and releasing the key whose set 1 code this is; `extended` keys carry the prefix 0xe0. */
export function keyPress(set1: number, extended = false): number[] {
  return [...keyDown(set1, extended), ...keyUp(set1, extended)];
}

export function keyDown(set1: number, extended = false): number[] {
  const code = set2OfSet1[set1] ?? 0;
  return extended ? [0xe0, code] : [code];
}

export function keyUp(set1: number, extended = false): number[] {
  const code = set2OfSet1[set1] ?? 0;
  return extended ? [0xe0, 0xf0, code] : [0xf0, code];
}

/** Set 1 codes of the keys with and without shift, row by row. */
const rows: readonly (readonly [first: number, plain: string, shifted: string])[] = [
  [0x02, '1234567890-=', '!@#$%^&*()_+'],
  [0x10, 'qwertyuiop[]', 'QWERTYUIOP{}'],
  [0x1e, "asdfghjkl;'`", 'ASDFGHJKL:"~'],
  [0x2b, '\\zxcvbnm,./', '|ZXCVBNM<>?'],
];
const SHIFT = 0x2a;
const CONTROL = 0x1d;
const special: Readonly<Record<string, number>> = {
  '\x1b': 0x01,
  '\b': 0x0e,
  '\x7f': 0x0e,
  '\t': 0x0f,
  '\r': 0x1c,
  '\n': 0x1c,
  ' ': 0x39,
};

/** Set 2 bytes of the key strokes that type one character on a US keyboard; null for a character it does not have. */
export function strokesFor(character: string): number[] | null {
  const code = special[character];
  if (code !== undefined) return keyPress(code);
  for (const [first, plain, shifted] of rows) {
    const index = plain.indexOf(character);
    if (index >= 0) return keyPress(first + index);
    const upper = shifted.indexOf(character);
    if (upper >= 0) return [...keyDown(SHIFT), ...keyPress(first + upper), ...keyUp(SHIFT)];
  }
  const control = character.charCodeAt(0);
  if (control >= 1 && control <= 26) {
    const letter = strokesFor(String.fromCharCode(0x60 + control));
    return letter === null ? null : [...keyDown(CONTROL), ...letter, ...keyUp(CONTROL)];
  }
  return null;
}
