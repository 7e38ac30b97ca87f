// Every sentence the app says, in English. A translation is a file of the same type beside this one; what varies is a
// parameter, so that a sentence can be put in another order. Words follow the field: domain, host, vCPU, pCPU, guest.
import { formatBytes, formatMiB } from '../format/memory.ts';
import { formatNumber, formatPercent } from '../format/numbers.ts';
import { formatDuration, formatInstant } from '../format/time.ts';

const plural = new Intl.PluralRules('en');
const count = (n: number, one: string, other: string): string =>
  `${formatNumber(n)}\u202f${plural.select(n) === 'one' ? one : other}`;

export const en = {
  app: { name: 'Bulkhead', starting: 'Starting the engine…' },

  actions: {
    close: 'Close',
    cancel: 'Cancel',
    dismiss: 'Dismiss',
    create: 'Create',
    save: 'Apply',
    add: 'Add host',
    details: 'Details',
    undo: 'Undo',
    retry: 'Try again',
  },

  charts: {
    at: (time: string, values: string) => `At ${time}: ${values}`,
    now: 'now',
    before: (seconds: number) => (seconds > 0 ? `−${seconds}\u202fs` : '0'),
    time: 'Lab time',
    keys: 'Arrow keys move the cursor, T shows the table.',
    empty: 'Run the lab to record',
  },

  top: {
    label: 'Lab',
    labMenu: 'Lab menu',
    clock: 'Clock',
    labTime: (time: string) => `Lab time ${time}`,
    run: 'Run',
    pause: 'Pause',
    step: 'Step forward',
    speed: (speed: string) => `Speed ${speed}`,
    speedMenu: 'Speed',
    limited: (speed: string) => `${speed} (limit)`,
    slower: 'Slower',
    faster: 'Faster',
    asFast: 'As fast as it can',
    search: 'Search or run a command',
    tasks: (n: number) => count(n, 'task', 'tasks'),
    noTasks: 'Tasks: none running',
    notifications: 'Notifications',
    notificationsUnread: (n: number) => `Notifications, ${count(n, 'new', 'new')}`,
    toLight: 'Switch to the light theme',
    toDark: 'Switch to the dark theme',
    view: 'Views',
  },

  tape: {
    label: 'Recorded events',
    empty: 'Everything that happens in this lab is recorded here.',
    several: (n: number) => count(n, 'event', 'events'),
    event: (label: string, time: string) => `${label}, at ${time}`,
    now: (time: string) => `Lab time is ${time}`,
  },

  nav: { lab: 'Lab' },

  shelf: {
    label: 'Guest shelf',
    add: 'Import kernel or xl.cfg',
    choose: (name: string) => `${name}. Enter chooses a host.`,
    createOn: (host: string) => `Create on ${host}`,
    menu: (name: string) => `Create ${name}`,
    importTitle: 'Import kernel or xl.cfg',
    importHint: 'Drop a file, or press Ctrl\u202fO',
    importDrop: 'Let go to import',
    empty: 'This engine offers no templates.',
  },

  lab: {
    canvas: 'Lab',
    pcpu: (index: number) => `pCPU\u202f${index}`,
    idle: 'idle',
    pcpusLabel: 'Physical CPUs',
    memory: 'Machine memory, by domain',
    free: (mib: number) => `${formatMiB(mib)} free`,
    freeHint: 'Drop a guest, or press N',
    newHere: (host: string) => `Create a domain on ${host}`,
    hostMenu: (host: string) => `Menu of host ${host}`,
    domains: (host: string) => `Domains on ${host}`,
    addHost: 'Host',
    addHostLabel: 'Add host',
    editLink: 'Link',
    editLinkLabel: 'Edit link',
    linkBetween: (a: string, b: string) => `Link between ${a} and ${b}`,
    linkUsed: (share: number) => `${formatPercent(share)} used`,
    xenVersion: (version: string) => `Xen ABI ${version}`,
    bare: 'bare host',
    pcpuCount: (n: number) => `${n}\u202fpCPU`,
    needs: (needed: number, free: number) => `needs ${formatMiB(needed)}, ${formatNumber(free)} free`,
    memorySegment: (name: string, mib: number) => `${name} ${formatMiB(mib)}`,
  },

  first: {
    title: 'Boot your first guest',
    drag: (template: string) => ['Drag ', template, ' from the shelf into this host.'] as const,
    boot: (template: string) => `Boot ${template}`,
    openLab: 'Open a lab',
    importKernel: 'Import a kernel',
    secondHost: 'Add a second host',
    memory: (mib: number) => `A real kernel, ${formatMiB(mib)}.`,
  },

  domain: {
    vcpus: (n: number) => `${n}\u202fvCPU`,
    up: (ns: number) => `Up ${formatDuration(ns)}`,
    cpu: (share: number) => `CPU ${formatPercent(share)}`,
    tileName: (name: string, domid: string, mode: string, state: string, cpu: string, memory: string) =>
      `${name}, domain ${domid}, ${mode}, ${state}, CPU ${cpu}, ${memory}`,
    created: (name: string, host: string) => `${name} starting on ${host}`,
    paused: (name: string) => `${name} paused`,
    unpaused: (name: string) => `${name} runs again`,
    renamed: (name: string) => `Renamed to ${name}`,
    destroyed: (name: string) => `${name} destroyed.`,
    destroyedSpoken: (name: string) => `${name} destroyed. Control Z restores it.`,
    returned: (mib: number, host: string) => `${formatMiB(mib)} returned to ${host}.`,
    restored: (name: string) => `${name} is back, at the current lab time.`,
    crashed: (name: string, why: string) => `${name} crashed: ${why}`,
    on: (host: string) => `on ${host}`,
  },

  inspector: {
    label: 'Inspector',
    tabs: 'Inspector tabs',
    console: 'Console',
    vitals: 'Vitals',
    memory: 'Memory',
    meter: 'Meter',
    crash: 'Crash',
    collapse: 'Collapse the inspector',
    expand: 'Expand the inspector',
    resize: 'Height of the inspector',
    nothing: 'Select a domain to see its console, vitals, memory and meter.',
  },

  console: {
    name: 'hvc0',
    of: (name: string) => `Console of ${name}`,
    lines: (n: number) => `scrollback ${count(n, 'line', 'lines')}`,
    leave: 'Ctrl+F6 leaves the console',
    find: 'Find',
    findLabel: 'Find in the console',
    findNext: 'Next match',
    findPrevious: 'Previous match',
    save: 'Save log',
    stopped: 'This domain does not run, so nobody reads what is typed here.',
  },

  vitals: {
    cpu: 'CPU',
    cpuNote: 'share of all its vCPUs',
    cpuReading: (share: number, vcpus: number) => `${formatPercent(share)} of ${vcpus}\u202fvCPU`,
    cpuSummary: (share: number) => `CPU share over the last 60 seconds of lab time, now ${formatPercent(share)}.`,
    memory: 'Memory',
    memoryNote: 'given to the domain; MiB',
    memoryReading: (mib: number) => formatMiB(mib),
    memorySummary: (mib: number) => `Memory given to the domain over the last 60 seconds, now ${formatMiB(mib)}.`,
    instructions: 'Instructions',
    instructionsNote: 'retired per second of lab time',
    perSecond: (n: number) => `${formatNumber(n)}\u202f/s`,
    instructionsSummary: (n: number) => `Instructions retired per second of lab time, now ${formatNumber(n)}.`,
    events: 'Events',
    eventsNote: 'hypercalls solid, exits dashed',
    eventsSummary: (hypercalls: number, exits: number) =>
      `Events per second of lab time: ${formatNumber(hypercalls)} hypercalls, ${formatNumber(exits)} exits.`,
  },

  meter: {
    resource: 'Resource',
    used: 'Used',
    total: 'Since creation',
    note: 'Lab time, as the hypervisor accounted it. Event counts are exact.',
  },

  palette: {
    label: 'Commands',
    field: 'Search or run a command',
    placeholder: 'Search or run a command',
    found: (n: number) => (n === 0 ? 'No command found' : `${count(n, 'command', 'commands')} found`),
    none: 'No command has all of these words.',
    choose: 'choose',
    run: 'run',
    close: 'close',
  },

  crash: {
    heading: (name: string, ns: number) => `${name} crashed at ${formatInstant(ns)}`,
    destroy: 'Destroy',
    lastLines: 'Console, last lines',
    others: 'The hypervisor stopped the domain. Other domains are intact.',
  },

  engine: {
    ready: 'Engine ready',
    starting: 'Engine starting',
    stopped: 'Engine stopped',
    seed: (seed: string) => `seed ${seed}`,
    restart: 'Restart engine',
    restarting: 'Restarting…',
    safe: (ns: number) => `Lab state up to ${formatInstant(ns)} is safe.`,
  },

  status: {
    label: 'Status',
    recorded: (n: number) => (n === 0 ? 'Nothing recorded yet' : `${count(n, 'event', 'events')} recorded`),
    saved: 'Saved',
    unsaved: 'Saving…',
    memory: (bytes: number) => formatBytes(bytes),
  },
};

export type Messages = typeof en;
