// Forms in sheets: values are checked with the schema the engine uses, and each problem belongs to its field.
import { computed, reactive, ref } from 'vue';
import type { z } from 'zod';
import { toSentences } from '../../shared/errors.ts';

/**
 * @param schema the contract's schema of what is sent
 * @param initial what the fields begin with; keys are the schema's
 */
export function useForm<S extends z.ZodType, V extends Record<string, unknown>>(schema: S, initial: V) {
  const values = reactive({ ...initial }) as V;
  const touched = reactive(new Set<string>());
  const refusal = ref<{ field: string | undefined; sentence: string }>();
  const sending = ref(false);
  const result = computed(() => schema.safeParse(values));

  /** The problem of a field, once it was left or the form was sent. */
  function problem(field: string): string | undefined {
    if (refusal.value?.field === field) return refusal.value.sentence;
    if (!touched.has(field) || result.value.success) return undefined;
    return result.value.error.issues.find((issue) => String(issue.path[0]) === field)?.message;
  }

  /** What the engine refused without naming a field of this form. */
  const problemOfAll = computed(() => {
    const field = refusal.value?.field;
    return refusal.value && (field === undefined || !(field in values)) ? refusal.value.sentence : undefined;
  });

  /**
   * Checks the values and sends them; a refusal stays in the form, at its field.
   * @returns the engine's answer (true where there is none), undefined when something is to be corrected
   */
  async function send<T>(ask: (checked: z.output<S>) => Promise<T>): Promise<T | true | undefined> {
    for (const field of Object.keys(values)) touched.add(field);
    refusal.value = undefined;
    if (!result.value.success || sending.value) return undefined;
    sending.value = true;
    try {
      return (await ask(result.value.data)) ?? true;
    } catch (thrown) {
      const { what, why, action, field } = toSentences(thrown);
      refusal.value = { field: field?.split(/[.[]/).at(-1), sentence: [what, why, action].filter(Boolean).join(' ') };
      return undefined;
    } finally {
      sending.value = false;
    }
  }

  return { values, touched, problem, problemOfAll, sending, send };
}
