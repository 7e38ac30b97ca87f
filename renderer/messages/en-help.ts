// What each panel shows, for someone who sees it for the first time, and where it is described in full.

export interface HelpTopic {
  readonly title: string;
  readonly text: readonly string[];
  readonly link: { readonly label: string; readonly url: string };
}

const XEN_PAPER = {
  label: 'Barham et al., Xen and the Art of Virtualization (SOSP 2003)',
  url: 'https://doi.org/10.1145/945445.945462',
};
const MIGRATION_PAPER = {
  label: 'Clark et al., Live Migration of Virtual Machines (NSDI 2005)',
  url: 'https://www.usenix.org/conference/nsdi-05/live-migration-virtual-machines',
};

export const enHelp = {
  help: {
    ask: 'What am I looking at?',
    about: (title: string) => `What am I looking at? ${title}`,
    group: 'Help',
    guide: 'A short tour',
    tour: (step: number, of: number) => `Tour, ${step} of ${of}`,
    next: 'Next',
    done: 'End the tour',
    topics: {
      lab: {
        title: 'Lab',
        text: [
          'Each frame is a whole simulated x86 host. On top are its physical CPUs with who ran on each in the last seconds; below them its machine memory by owner; below that a tile for each domain.',
          'Drag a guest from the shelf onto a host to boot it, and a tile onto the other host to migrate it.',
        ],
        link: XEN_PAPER,
      },
      console: {
        title: 'Console',
        text: [
          'What the guest writes to its console and what you type to it. Every key is the guest’s except Ctrl+F6, which leaves.',
        ],
        link: { label: 'xl console, the xl manual page', url: 'https://xenbits.xen.org/docs/unstable/man/xl.1.html' },
      },
      vitals: {
        title: 'Vitals',
        text: [
          'The last sixty seconds of lab time: the share of its vCPUs that the domain used, instructions retired, hypercalls and exits, and its memory.',
          'Point at a line for its values, or use the arrow keys; T shows the figures as a table.',
        ],
        link: XEN_PAPER,
      },
      memory: {
        title: 'Memory',
        text: [
          'By use: the machine frames that the domain holds, by the type the hypervisor gave them. A page-table frame can never be mapped writable; that rule keeps paravirtual guests apart.',
          'Map: every page of the guest’s own numbering (its P2M). Choose a cell to list its frames.',
        ],
        link: {
          label: 'Xen wiki: x86 paravirtualised memory management',
          url: 'https://wiki.xenproject.org/wiki/X86_Paravirtualised_Memory_Management',
        },
      },
      devices: {
        title: 'Devices',
        text: [
          'A paravirtual device has a front end in the guest and a back end outside it, which meet over a ring of shared memory and an event channel. Both ends go through the same states until they are connected.',
        ],
        link: {
          label: 'xen/include/public/io, the device interfaces',
          url: 'https://xenbits.xen.org/docs/unstable/hypercall/x86_64/include,public,io,xenbus.h.html',
        },
      },
      store: {
        title: 'XenStore',
        text: [
          'A small tree of names and values through which domains and their devices find each other. Watch a node to see each change below it; edit a value where no protocol depends on it.',
        ],
        link: { label: 'XenStore paths', url: 'https://xenbits.xen.org/docs/unstable/misc/xenstore-paths.html' },
      },
      trace: {
        title: 'Trace',
        text: [
          'Hypercalls, VM exits, faults and events as they happen, with how long each took in lab time. The list shows a part; the recording keeps all until its ring is full.',
          'Freeze the list to walk it. Export writes every record that passes the filter.',
        ],
        link: { label: 'xentrace, the manual page', url: 'https://xenbits.xen.org/docs/unstable/man/xentrace.8.html' },
      },
      debug: {
        title: 'Debug',
        text: [
          'The registers of one vCPU, the instructions around it as the simulated CPU itself decodes them, its stack and its memory. Pause the domain to step one instruction at a time.',
        ],
        link: {
          label: 'Intel 64 and IA-32 Architectures Software Developer’s Manual',
          url: 'https://www.intel.com/content/www/us/en/developer/articles/technical/intel-sdm.html',
        },
      },
      meter: {
        title: 'Meter',
        text: ['What the domain has used since it was created: CPU time, memory over time, hypercalls, faults, I/O.'],
        link: XEN_PAPER,
      },
      crash: {
        title: 'Crash',
        text: [
          'The guest did something from which it could not go on, and the hypervisor stopped it. Other domains are not touched by it.',
        ],
        link: XEN_PAPER,
      },
      scheduler: {
        title: 'Scheduler',
        text: [
          'Each row is a physical CPU; each bar is a stretch of time in which one vCPU ran on it. Gaps are idle.',
          'Point at a bar for its length and why it ended; drag to select a range, and the totals below are of that range.',
        ],
        link: { label: 'Xen wiki: Credit scheduler', url: 'https://wiki.xenproject.org/wiki/Credit_Scheduler' },
      },
      migrations: {
        title: 'Migrations',
        text: [
          'Pre-copy sends all memory while the guest runs, then again what it wrote meanwhile, round by round, until little is left or more rounds gain nothing. Then the guest stops, the rest crosses, and it goes on at the target.',
          'The map shows which memory was written in how many rounds: the writable working set, which decides the downtime.',
        ],
        link: MIGRATION_PAPER,
      },
    } as Readonly<Record<string, HelpTopic>>,
  },

  tasks: {
    label: 'Tasks',
    none: 'Nothing was asked of the engine yet that takes time.',
    running: 'Running',
    history: 'History',
    cancel: 'Cancel',
    states: { running: 'running', done: 'done', failed: 'failed', cancelled: 'cancelled' },
    took: (duration: string) => `${duration} on your clock`,
  },

  keys: {
    change: 'Change',
    changeOf: (what: string) => `Change the key of ${what}`,
    press: 'Press a key…',
    off: 'Off',
    switchOff: 'Switch off',
    switchOffOf: (what: string) => `Switch off the key of ${what}`,
    standard: 'Standard keys',
    taken: (key: string, what: string) => `${key} is the key of ${what}.`,
  },

  dock: {
    right: 'Dock the inspector right',
    bottom: 'Dock the inspector at the bottom',
    split: 'Show a second tab beside',
    unsplit: 'Close the second tab',
    second: 'Second tab',
    width: 'Width of the inspector',
    share: 'Share of the first tab',
  },
};
