// An interrupt line for tests: remembers its level and counts rising edges.
import type { IrqLine } from '../../../../main/machine/devices/contract.ts';

export class TestLine implements IrqLine {
  level = false;
  rises = 0;

  set(level: boolean): void {
    if (level && !this.level) this.rises++;
    this.level = level;
  }
}
