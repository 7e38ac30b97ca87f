// Interrupt messages between APICs, and who accepts one (SDM volume 3, "Determining IPI Destination").
import { DeliveryMode } from './registers.ts';

/** A message on the interrupt bus. */
export interface InterruptMessage {
  /** Physical APIC ID or logical destination. */
  readonly destination: number;
  readonly logical: boolean;
  /** See DeliveryMode. */
  readonly mode: number;
  readonly vector: number;
  readonly level: boolean;
}

/** What routing needs to know of a receiver. */
export interface MessageReceiver {
  /** Does this message name me? */
  matches(destination: number, logical: boolean): boolean;
  /** Processor priority, for lowest-priority delivery. */
  readonly processorPriority: number;
  readonly softwareEnabled: boolean;
  accept(message: InterruptMessage): void;
}

/**
 * Delivers a message to those it names. Lowest priority goes to the one whose processor priority is lowest, the first
 * of them in order, so that the choice is the same every time. Returns false when nobody accepted it.
 */
export function routeMessage(receivers: readonly MessageReceiver[], message: InterruptMessage): boolean {
  const named = receivers.filter((receiver) => receiver.matches(message.destination, message.logical));
  if (message.mode === DeliveryMode.LowestPriority) {
    let best: MessageReceiver | null = null;
    for (const receiver of named) {
      if (!receiver.softwareEnabled) continue;
      if (best === null || receiver.processorPriority < best.processorPriority) best = receiver;
    }
    if (best === null) return false;
    best.accept({ ...message, mode: DeliveryMode.Fixed });
    return true;
  }
  for (const receiver of named) receiver.accept(message);
  return named.length > 0;
}
