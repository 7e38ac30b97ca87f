// What the tier (tier.ts: when, entering, leaving, keeping, throwing away) and the translator (region.ts, translate.ts: what, how it is
// written) agree on. Invariant: a region's function returns between two instructions, with nothing architectural left in a local.

/** What a region's function, (i32 operation record) -> i32, returns. Any other value is an address of an operation record: see `Fuel`. */
export const RegionExit = {
  /** F.rip is where to go on; F.fuel, registers and flags are exact. (The value of Next.Jump.) */
  Left: 1,
  /** The same, where the call that waits last (CALL_DEPTH) comes back to. Only for that call: nobody else sees it. */
  Returned: 5,
  /** A fault is pending (F.faultVector); F.rip is the faulting instruction, which has not retired and is not counted in F.fuel. */
  Fault: 6,
  // Fuel: the address of the operation record at F.rip. Not enough fuel for the way to the next check, or an instruction that translated code
  // cannot finish: the interpreter executes at least that instruction by itself. This is also how a region is entered with too little fuel.
} as const;

/** Set in the address of a record that a region returns: the record has been jumped to and enters no region. */
export const JUMPED_TO = 1;

/** Instructions of one region at most, and so on a way of it between two looks at the fuel. */
export const LONGEST_WAY = 300;

/** The memory with decoded pages and records (HostMemory, or a copy of what matters of it). */
export interface CodeMemory {
  readonly u32: Uint32Array;
  readonly view: DataView;
}

/** A place where a region may begin. */
export interface RegionPlace {
  /** Address of its operation record. Its handler may have been replaced: see originalHandler (operation-record.ts). */
  readonly record: number;
  /** Machine frame it lies in, and the ModeKey its records were decoded for. */
  readonly frame: number;
  readonly key: number;
  /** Machine frame with code of that mode behind it in linear addresses, as the TLB has it now; -1 if there is none. */
  readonly second: number;
}
/** A place that has become hot. */
export interface RegionRequest extends RegionPlace {
  /** It gets a region that is entered there, even if it lies inside another. */
  readonly alone: boolean;
  /** Page offsets (from 4096 on in the page behind) of instructions that were left to the interpreter often: see careful-places.ts. */
  readonly careful: readonly number[];
}

/**
 * One function of a module. It holds no address of a record or frame, and depends on nothing but the mode key and the bytes of its instructions:
 * it is entered for every page that has these bytes at these offsets, once their records exist there, and is kept between runs.
 */
export interface RegionFunction {
  /** Name it is exported under. */
  readonly name: string;
  readonly request: RegionRequest;
  /**
   * Page offsets of all instructions it was made from: the region dies when one of them is overwritten. From 4096 on they are in the page
   * behind.
   */
  readonly offsets: readonly number[];
  /** Instructions in it. */
  readonly instructions: number;
}

/** A WebAssembly module with the functions of several regions of one code width. */
export interface RegionModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly functions: readonly RegionFunction[];
  /** Requests for places inside a region of another request, which have no function of their own. */
  readonly covered: readonly RegionRequest[];
}

/**
 * Translates regions that begin at the given records, all of one code width (32 stands for everything but 64-bit code); null if none of them
 * can be translated. A request whose first instruction cannot is left out, and so is one for a place inside another's region, if it is not
 * to be entered alone.
 *
 * Entry: the interpreter has already taken 1 from F.fuel for the instruction it dispatched (the region's first), so a region has F.fuel + 1
 * instructions; SLOT_PAGE_BASE and F.codeFrame belong to the record's page, F.faultVector is -1, F.mode has the request's key. F.rip is not set.
 * Exit: F.fuel is the number of instructions left, without any such advance. Code may be invalidated while a region runs (by a store that took a
 * slow path): it then leaves behind that instruction.
 *
 * Imports a module may have (`env`): `memory`; `table` (the interpreter's table: handler number -> (record) -> Next for handlers that are not hot,
 * region slot -> region, all of type (i32) -> i32); the interpreter's own imports; SHARED_FUNCTIONS.
 */
export type TranslateRegions = (
  code: { readonly mem: CodeMemory },
  mode: 32 | 64,
  requests: readonly RegionRequest[],
) => RegionModule | null;

/**
 * Functions of the interpreter's module that translated code may import besides what the interpreter itself imports (flush_bounce,
 * interrupts_enabled, sys_...); their signatures are where they are defined (interpreter.ts, walk.ts, flag-functions.ts, fast-events.ts).
 */
export const SHARED_FUNCTIONS: readonly string[] = [
  ...[
    'slow_read',
    'slow_write',
    'slow_modify',
    'code_write',
    'walk_fill',
    'lookup',
    'ea_offset',
    'seg_linear',
    'mulhi_u',
    'div128_quot',
    'div128_rem',
    'region_read',
    'region_write',
    'region_next',
    'decode_trace',
  ],
  ...['kind_cf', 'kind_pf', 'kind_af', 'kind_sf', 'kind_of'],
  ...['x87_add', 'x87_compare', 'x87_mul', 'x87_div', 'x87_to_f32', 'x87_to_f64', 'x87_to_int'],
  ...['get_cf', 'get_pf', 'get_af', 'get_sf', 'get_of', 'get_sf_ne_of', 'set_cf_of', 'set_flags', 'read_flags'],
];
