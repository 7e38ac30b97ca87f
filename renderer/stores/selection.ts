// Which domain the inspector is about.
import { defineStore } from 'pinia';
import { ref } from 'vue';

export const useSelection = defineStore('selection', () => {
  const uuid = ref<string>();
  function select(next: string | undefined): void {
    uuid.value = next;
  }
  return { uuid, select };
});
