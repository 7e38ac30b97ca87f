// The catalogue in use. One place decides the language; components read `messages`.
import { en } from './en.ts';
import type { Messages } from './en.ts';

export const messages: Messages = en;
