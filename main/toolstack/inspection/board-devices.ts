// The devices of a bare machine: the registers of each, from the state that it would save.
// Invariant: nothing is read through ports or memory, because reading a register can change a device.

import type { DeviceReport } from '../../../shared/inspection-service.ts';
import type { BoardState } from '../../machine/platform/board.ts';

/** Longest list of numbers that is shown in full. */
const MAX_LIST = 16;

const TITLES: Record<string, readonly [id: string, title: string]> = {
  uart: ['uart16550', 'Serial port COM1 (16550)'],
  pic: ['pic8259', 'Interrupt controllers (8259 pair)'],
  ioApic: ['io-apic', 'I/O APIC'],
  localApics: ['local-apic', 'Local APIC'],
  pit: ['pit8254', 'Interval timer (8254)'],
  cmos: ['cmos-rtc', 'Clock and CMOS memory (MC146818)'],
  ps2: ['ps2', 'Keyboard controller (8042)'],
  vga: ['vga-text', 'Text display (VGA)'],
  pciHost: ['pci-host', 'PCI host bridge'],
  acpiPm: ['acpi-pm', 'ACPI power management'],
  systemControl: ['system-control', 'System control ports'],
};

/** `receiveFifo` as `receive fifo`. */
const words = (name: string): string =>
  name.replace(/([a-z])([A-Z])/g, (_, a: string, b: string) => `${a} ${b.toLowerCase()}`);

function valueOf(value: unknown): string {
  if (value === null || value === undefined) return 'none';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'number')
    return Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff ? `0x${value.toString(16)}` : String(value);
  if (typeof value === 'bigint') return `0x${value.toString(16)}`;
  return String(value);
}

/** Registers of a saved state as facts: nested parts by dotted labels, long lists by their length. */
export function registerFacts(state: object, label = ''): DeviceReport['facts'] {
  return Object.entries(state).flatMap(([key, value]: [string, unknown]) => {
    if (key === 'version') return [];
    const name = label ? `${label}.${words(key)}` : words(key);
    if (ArrayBuffer.isView(value)) return [{ label: name, value: `${value.byteLength} bytes` }];
    if (Array.isArray(value)) {
      if (value.some((v) => typeof v === 'object' && v !== null))
        return value.length <= MAX_LIST * 2
          ? value.flatMap((v: object, n) => registerFacts(v, `${name} ${n}`))
          : [{ label: name, value: `${value.length} entries` }];
      return [
        {
          label: name,
          value: value.length > MAX_LIST ? `${value.length} values` : value.map(valueOf).join(' ') || 'empty',
        },
      ];
    }
    if (typeof value === 'object' && value !== null) return registerFacts(value, name);
    return [{ label: name, value: valueOf(value) }];
  });
}

/** Every device of the board, by its registers. @param printed bytes that left by the serial port */
export function boardDevices(state: BoardState, printed: number): DeviceReport[] {
  const device = (key: string, id: string, title: string, part: object): DeviceReport => ({
    id,
    title,
    frontend: null,
    backend: null,
    facts: registerFacts(part),
    counters: key === 'uart' ? [{ label: 'printed', value: printed, unit: 'bytes' }] : [],
    problem: null,
  });
  return Object.entries(TITLES).flatMap(([key, [id, title]]) => {
    const part = (state as unknown as Record<string, object | readonly object[]>)[key]!;
    return Array.isArray(part)
      ? part.map((p: object, n) => device(key, `${id}/${n}`, `${title} of processor ${n}`, p))
      : [device(key, id, title, part)];
  });
}
