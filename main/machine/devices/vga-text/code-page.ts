// Code page 437, the character set in a VGA's ROM: which Unicode character each of its 256 glyphs shows.

const lowGlyphs = '\u0020☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼';
const highGlyphs =
  '⌂ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0';

/** 256 characters, index = glyph. */
export const codePage437: readonly string[] = [
  ...lowGlyphs,
  ...Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index)),
  ...highGlyphs,
];
