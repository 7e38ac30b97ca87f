import type { Semantics } from './semantics.ts';
export function fastPath(_s: Semantics, _opcode: number, _column: string): void {}
