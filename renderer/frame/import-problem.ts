// A file that cannot be imported: what it is, what is needed, and what was looked at.

export interface ImportProblem {
  readonly file: string;
  /** What it is. */
  readonly what: string;
  /** Why that does not boot here, and what to do. */
  readonly why: string;
  /** What was checked, one finding a line. */
  readonly checked: readonly string[];
}
