// Room on a full host from another domain's balloon: the engine says whose would do, the person decides, the guest gives its memory back.
import { defineStore } from 'pinia';
import type { ErrorSentences } from '../../shared/errors.ts';
import type { BalloonOffer } from '../../shared/lab-service.ts';
import type { DomainMode } from '../../shared/model.ts';
import { announcer } from '../composables/announcer.ts';
import { messages } from '../messages/index.ts';
import { useLab } from './lab.ts';
import { useNotices } from './notices.ts';
import type { NoticeAction } from './notices.ts';
import { useSession } from './session.ts';

/** What needs room on a host: a domain of so much memory, or one that would move there. */
export type RoomWish =
  | { readonly host: string; readonly mode?: DomainMode; readonly memoryMiB: number }
  | { readonly host: string; readonly moving: string };

export const useBalloon = defineStore('balloon', () => {
  const session = useSession();
  const lab = useLab();

  /** Whose balloon would make room; undefined when none would, or memory is not what is lacking. */
  async function offerFor(wish: RoomWish): Promise<BalloonOffer | undefined> {
    try {
      return (await session.call((engine) => engine.balloonOffer(wish))) ?? undefined;
    } catch {
      // what was wished is refused by the engine in its own words
      return undefined;
    }
  }

  /** Does what was offered; there is room afterwards. Rejects with a BulkheadError when the guest does not give enough back. */
  async function makeRoom({ uuid, name, memoryMiB, roomMiB }: BalloonOffer): Promise<void> {
    if (!lab.clock.running)
      useNotices().post({
        tone: 'plain',
        title: messages.balloon.waits(name),
        action: { label: messages.verbs.runLab, run: () => void lab.runClock() },
      });
    await session.call((engine) => engine.makeRoom({ uuid, memoryMiB, roomMiB }));
    announcer.say(messages.balloon.done(name, memoryMiB), uuid);
  }

  /** The way on that a refusal for lack of memory offers: make room, then do again what was refused. */
  const remedy =
    (wish: RoomWish, again: () => void) =>
    async ({ code }: ErrorSentences): Promise<NoticeAction | undefined> => {
      const offer = code === 'not-enough-memory' ? await offerFor(wish) : undefined;
      return (
        offer && {
          label: messages.balloon.offer(offer.name, offer.memoryMiB),
          run: () => void session.attempt(makeRoom(offer)).then((room) => room && again()),
        }
      );
    };

  return { offerFor, makeRoom, remedy };
});
