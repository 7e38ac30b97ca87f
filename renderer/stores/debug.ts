// The debugger's view of one vCPU: registers, instructions, memory, stack, breakpoints. Everything is read when the domain
// stops, when a step ended, or now and then while it runs; nothing is read while nobody looks.
import { defineStore } from 'pinia';
import { computed, ref, shallowRef } from 'vue';
import { toSentences } from '../../shared/errors.ts';
import type { ErrorSentences } from '../../shared/errors.ts';
import type { DisassembledInstruction, StackEntry, VcpuReport } from '../../shared/inspection-service.ts';
import { useSession } from './session.ts';

const INSTRUCTIONS = 48;
const STACK_ENTRIES = 32;
const MEMORY_BYTES = 256;

/** Names of the registers whose value is another than before. */
export function changedRegisters(before: VcpuReport | undefined, now: VcpuReport | undefined): Set<string> {
  if (!before || !now || before.vcpu !== now.vcpu) return new Set();
  const old = new Map(before.registers.map(({ name, value }) => [name, value]));
  return new Set(
    now.registers.filter(({ name, value }) => old.has(name) && old.get(name) !== value).map((r) => r.name),
  );
}

export interface DebugMemory {
  readonly address: string;
  readonly space: 'linear' | 'physical';
  readonly bytes: readonly (number | null)[];
}

export const useDebug = defineStore('debug', () => {
  const session = useSession();
  const uuid = ref<string>();
  const vcpu = ref(0);
  const reports = shallowRef<readonly VcpuReport[]>([]);
  const before = shallowRef<VcpuReport>();
  const code = shallowRef<readonly DisassembledInstruction[]>([]);
  /** Where the listing begins; undefined follows the current instruction. */
  const origin = ref<string>();
  const stack = shallowRef<readonly StackEntry[]>([]);
  const memory = shallowRef<DebugMemory>();
  const memoryAt = shallowRef<{ address: string; space: 'linear' | 'physical' }>();
  const breakpoints = shallowRef<readonly string[]>([]);
  const refusal = shallowRef<ErrorSentences>();
  /** Why the part below the registers could not be read, by part. */
  const partRefusals = shallowRef<Readonly<Record<string, string>>>({});
  let asked = 0;

  const report = computed(() => reports.value.find((entry) => entry.vcpu === vcpu.value) ?? reports.value[0]);
  const changed = computed(() => changedRegisters(before.value, report.value));

  /** Reads everything again. */
  async function read(): Promise<void> {
    const id = uuid.value;
    if (id === undefined) return;
    const mine = ++asked;
    try {
      const all = await session.call((engine) => engine.vcpus({ uuid: id }));
      if (mine !== asked) return;
      reports.value = all;
      refusal.value = undefined;
    } catch (thrown) {
      if (mine === asked) refusal.value = toSentences(thrown);
      return;
    }
    const of = { uuid: id, vcpu: vcpu.value };
    const at = memoryAt.value;
    const part = <T>(name: string, promise: Promise<T>, take: (answer: T) => void) =>
      promise.then(
        (answer) => {
          if (mine !== asked) return;
          take(answer);
          const { [name]: _gone, ...rest } = partRefusals.value;
          partRefusals.value = rest;
        },
        (thrown) => {
          if (mine !== asked) return;
          const { what, why } = toSentences(thrown);
          partRefusals.value = { ...partRefusals.value, [name]: `${what} ${why}` };
        },
      );
    await Promise.all([
      part(
        'code',
        session.call((engine) =>
          engine.disassemble({ ...of, count: INSTRUCTIONS, ...(origin.value ? { address: origin.value } : {}) }),
        ),
        (answer) => (code.value = answer),
      ),
      part(
        'stack',
        session.call((engine) => engine.stack({ ...of, entries: STACK_ENTRIES })),
        (answer) => (stack.value = answer),
      ),
      part(
        'breakpoints',
        session.call((engine) => engine.breakpoints({ uuid: id })),
        (answer) => (breakpoints.value = answer),
      ),
      at &&
        part(
          'memory',
          session.call((engine) => engine.readMemory({ ...of, ...at, bytes: MEMORY_BYTES })),
          (bytes) => (memory.value = { ...at, bytes }),
        ),
    ]);
  }

  function look(at: string | undefined): void {
    asked += 1;
    if (at !== uuid.value) {
      vcpu.value = 0;
      reports.value = code.value = stack.value = breakpoints.value = [];
      before.value = memory.value = memoryAt.value = origin.value = refusal.value = undefined;
      partRefusals.value = {};
    }
    uuid.value = at;
    void read();
  }

  function chooseVcpu(next: number): void {
    vcpu.value = next;
    before.value = undefined;
    origin.value = undefined;
    void read();
  }

  async function step(): Promise<VcpuReport | undefined> {
    const id = uuid.value;
    if (id === undefined) return undefined;
    const was = report.value;
    const answer = await session.act((engine) => engine.stepInstruction({ uuid: id, vcpu: vcpu.value }));
    if (!answer) return undefined;
    before.value = was;
    origin.value = undefined;
    await read();
    return answer;
  }

  async function setBreakpoint(address: string, on: boolean): Promise<boolean> {
    const id = uuid.value;
    if (id === undefined) return false;
    const done = await session.act((engine) => engine.setBreakpoint({ uuid: id, address, on }));
    await read();
    return done === true;
  }

  function showCode(address: string | undefined): void {
    origin.value = address;
    void read();
  }
  function showMemory(address: string, space: 'linear' | 'physical'): void {
    memoryAt.value = { address, space };
    void read();
  }

  return {
    vcpu,
    reports,
    report,
    changed,
    code,
    origin,
    stack,
    memory,
    memoryAt,
    breakpoints,
    refusal,
    partRefusals,
    read,
    look,
    chooseVcpu,
    step,
    setBreakpoint,
    showCode,
    showMemory,
  };
});
