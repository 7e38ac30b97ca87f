/**
 * The icon containers of Windows and macOS, both of which hold PNG images as they are. Written here so that packaging
 * needs no conversion tool.
 *
 * Sources: Microsoft, "ICO file format" (ICONDIR, ICONDIRENTRY; PNG entries since Windows Vista); Apple, "icns" types
 * ic04..ic14 for PNG data.
 */

/** PNG images by their width in pixels (square). */
export type PngImages = ReadonlyMap<number, Buffer>;

const ICO_SIZES = [16, 24, 32, 48, 64, 128, 256] as const;

/** A Windows .ico file of the sizes present. */
export function icoFile(images: PngImages): Buffer {
  const sizes = ICO_SIZES.filter((size) => images.has(size));
  const header = Buffer.alloc(6 + 16 * sizes.length);
  header.writeUInt16LE(1, 2); // type: icon
  header.writeUInt16LE(sizes.length, 4);
  let offset = header.length;
  const bodies = sizes.map((size, index) => {
    const png = images.get(size) as Buffer;
    const at = 6 + 16 * index;
    header.writeUInt8(size % 256, at); // 0 stands for 256
    header.writeUInt8(size % 256, at + 1);
    header.writeUInt16LE(1, at + 4); // colour planes
    header.writeUInt16LE(32, at + 6); // bits per pixel
    header.writeUInt32LE(png.length, at + 8);
    header.writeUInt32LE(offset, at + 12);
    offset += png.length;
    return png;
  });
  return Buffer.concat([header, ...bodies]);
}

/** Type code -> width in pixels. `ic11`..`ic14` are the doubled sizes for high-resolution screens. */
const ICNS_TYPES = { ic11: 32, ic12: 64, ic07: 128, ic13: 256, ic08: 256, ic14: 512, ic09: 512, ic10: 1024 } as const;

/** A macOS .icns file of the sizes present. */
export function icnsFile(images: PngImages): Buffer {
  const chunks = Object.entries(ICNS_TYPES).flatMap(([type, size]) => {
    const png = images.get(size);
    return png === undefined ? [] : [icnsChunk(type, png)];
  });
  return icnsChunk('icns', Buffer.concat(chunks));
}

function icnsChunk(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.write(type, 'latin1');
  head.writeUInt32BE(body.length + 8, 4);
  return Buffer.concat([head, body]);
}
