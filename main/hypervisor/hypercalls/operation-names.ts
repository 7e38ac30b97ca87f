// Names of hypercalls' operations and how many arguments each hypercall takes, for the trace (Xen's public headers; include/hypercall-defs).

import { Errno } from '../abi/errno.ts';

/** Arguments of each hypercall; two where it is not listed. */
export const ARGUMENT_COUNT: Readonly<Record<string, number>> = {
  set_trap_table: 1,
  mmu_update: 4,
  set_callbacks: 4,
  fpu_taskswitch: 1,
  get_debugreg: 1,
  update_va_mapping: 3,
  update_va_mapping_otherdomain: 4,
  set_timer_op: 1,
  console_io: 3,
  grant_table_op: 3,
  iret: 0,
  vcpu_op: 3,
  mmuext_op: 4,
  platform_op: 1,
  sysctl: 1,
  domctl: 1,
  event_channel_op_compat: 1,
  physdev_op_compat: 1,
};

/** By hypercall, the operations that its first argument selects; mmuext_op has them in guest memory. */
const OPERATIONS: Readonly<Record<string, readonly (string | null)[]>> = {
  sched_op: ['yield', 'block', 'shutdown', 'poll', 'remote_shutdown', 'shutdown_code', 'watchdog', 'pin_override'],
  sched_op_compat: ['yield', 'block', 'shutdown'],
  event_channel_op: [
    'bind_interdomain',
    'bind_virq',
    'bind_pirq',
    'close',
    'send',
    'status',
    'alloc_unbound',
    'bind_ipi',
    'bind_vcpu',
    'unmask',
    'reset',
    'init_control',
    'expand_array',
    'set_priority',
  ],
  memory_op: [
    'increase_reservation',
    'decrease_reservation',
    'maximum_ram_page',
    'current_reservation',
    'maximum_reservation',
    'machphys_mfn_list',
    'populate_physmap',
    'add_to_physmap',
    null,
    'memory_map',
    'machine_memory_map',
    'exchange',
    'machphys_mapping',
    'set_memory_map',
    null,
    'remove_from_physmap',
  ],
  grant_table_op: [
    'map_grant_ref',
    'unmap_grant_ref',
    'setup_table',
    'dump_table',
    'transfer',
    'copy',
    'query_size',
    'unmap_and_replace',
    'set_version',
    'get_status_frames',
    'get_version',
    'swap_grant_ref',
    'cache_flush',
  ],
  vcpu_op: [
    'initialise',
    'up',
    'down',
    'is_up',
    'get_runstate_info',
    'register_runstate_memory_area',
    'set_periodic_timer',
    'stop_periodic_timer',
    'set_singleshot_timer',
    'stop_singleshot_timer',
    'register_vcpu_info',
    'send_nmi',
    'get_physid',
    'register_vcpu_time_memory_area',
  ],
  xen_version: [
    'version',
    'extraversion',
    'compile_info',
    'capabilities',
    'changeset',
    'platform_parameters',
    'get_features',
    'pagesize',
    'guest_handle',
    'commandline',
    'build_id',
  ],
  hvm_op: ['set_param', 'get_param'],
  vm_assist: ['enable', 'disable'],
  console_io: ['write', 'read'],
  callback_op: ['register', 'unregister'],
  nmi_op: ['register_callback', 'unregister_callback'],
};
/** memory_op keeps a continuation's progress above its operation. */
const MEMORY_OPERATION = 0x3fn;

/** The operation that a hypercall's first argument asks for, or null. */
export function operationOf(name: string): ((args: readonly bigint[]) => string | null) | null {
  const names = OPERATIONS[name];
  if (!names) return null;
  return ([first]) => {
    if (first === undefined) return null;
    const n = Number(name === 'memory_op' ? first & MEMORY_OPERATION : first & 0xffff_ffffn);
    return names[n] ?? `operation ${n}`;
  };
}

const ERRNO_NAMES = new Map<number, string>(Object.entries(Errno).map(([name, n]) => [n, name]));

/** 0, -EINVAL, 17. */
export function resultText(value: number): string {
  return value < 0 ? `-${ERRNO_NAMES.get(-value) ?? String(-value)}` : String(value);
}
