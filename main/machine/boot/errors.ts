// What is wrong with a kernel image somebody wants to start. The message says what the file is and what was needed.

export type KernelImageProblem =
  /** Not a kernel image of a kind we know. */
  | 'unknown-format'
  /** A known format whose contents contradict themselves or end too early. */
  | 'damaged'
  /** A good image that this machine cannot start. */
  | 'unsupported'
  /** It does not fit into the machine's memory. */
  | 'too-large';

export class KernelImageError extends Error {
  override readonly name = 'KernelImageError';
  readonly problem: KernelImageProblem;

  constructor(problem: KernelImageProblem, sentence: string) {
    super(sentence);
    this.problem = problem;
  }
}
