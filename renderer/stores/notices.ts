// Messages to the person that are not part of a view: toasts (with an undo), and the list behind the bell.
import { defineStore } from 'pinia';
import { computed, ref } from 'vue';

export interface NoticeAction {
  readonly label: string;
  readonly shortcut?: string;
  readonly run: () => void;
  /** It takes back what the notice tells. */
  readonly undoes?: true;
}

export interface Notice {
  readonly id: number;
  readonly tone: 'plain' | 'bad';
  /** What happened. */
  readonly title: string;
  /** Why, and what to do. */
  readonly detail?: string;
  /** The stable code of an error, shown under details. */
  readonly code?: string;
  readonly action?: NoticeAction;
  /** Time on the user's clock, in ms since the epoch. */
  readonly at: number;
}

const KEPT = 50;

export const useNotices = defineStore('notices', () => {
  const all = ref<Notice[]>([]);
  const toast = ref<Notice>();
  const seen = ref(0);
  let next = 1;

  /** Shows a toast and keeps it in the list. A newer toast takes the place of an older one. */
  function post(notice: Omit<Notice, 'id' | 'at'>): Notice {
    const posted = { ...notice, id: next++, at: Date.now() };
    all.value = [posted, ...all.value].slice(0, KEPT);
    toast.value = posted;
    return posted;
  }

  function dismiss(id: number): void {
    if (toast.value?.id === id) toast.value = undefined;
  }

  const unread = computed(() => all.value.filter((notice) => notice.id > seen.value).length);
  function markRead(): void {
    seen.value = all.value[0]?.id ?? 0;
  }

  return { all, toast, unread, post, dismiss, markRead };
});
