/**
 * Files a person asked to open from outside the window (command line, file association, second instance), kept until
 * the window's page asks for them, so that none is lost while it loads.
 */
export class OpenRequests {
  #waiting: string[] = [];
  #deliver: ((paths: readonly string[]) => void) | null = null;

  /** Files to open, in order. */
  add(paths: readonly string[]): void {
    if (paths.length === 0) return;
    if (this.#deliver === null) this.#waiting.push(...paths);
    else this.#deliver(paths);
  }

  /** A page is ready for them: it gets what waited, and later ones through `deliver`. */
  take(deliver: (paths: readonly string[]) => void): readonly string[] {
    this.#deliver = deliver;
    const paths = this.#waiting;
    this.#waiting = [];
    return paths;
  }

  /** The page is gone: later files wait for the next one. */
  release(): void {
    this.#deliver = null;
  }
}
