/**
 * Puts the end of the engine process into a sentence: what happened, why, what to do.
 */
import type { EngineStopSentence } from '../../shared/bridge.ts';

/**
 * @param code exit code as utilityProcess reports it; a process ended by a signal has the signal's number or 128 + number
 * @param lastErrorLine the last line on stderr that names an error, or ''
 */
export function sentenceForEnd(code: number, lastErrorLine: string): EngineStopSentence {
  const action = 'Restart the engine: it reopens the lab from the last autosave.';
  return { what: 'The engine stopped.', why: why(code, lastErrorLine), action };
}

function why(code: number, lastErrorLine: string): string {
  if (lastErrorLine !== '') return `It met an error it could not handle: ${lastErrorLine.slice(0, 300)}`;
  const signal = code > 128 ? code - 128 : code;
  if (signal === 9) return 'The system or another program killed it, as happens when memory runs out.';
  if (signal === 15) return 'Another program asked it to end.';
  if (code === 134 || code === 6) return 'It ran out of memory, or met an error inside its JavaScript engine.';
  if (code === 0) return 'It ended by itself, which it should not.';
  return `Its process ended with code ${code}.`;
}
