/**
 * One row of text in the making, as the scheduler sees it: tokens, and how far their keys and values are computed.
 *
 * @module
 */
import { rootLink } from "./block_pool.ts";

/** Where a sequence stands. A preempted one is waiting again. */
export type SequenceStatus = "waiting" | "running" | "finished";

/** Tokens of a prompt and of what was generated after it. Written to by the scheduler only. */
export class Sequence {
  /** Prompt, then generated tokens. */
  readonly tokens: number[];
  /** How many of the tokens are the prompt. */
  readonly promptLength: number;
  /** Lower runs first; equal ones in order of arrival. */
  readonly priority: number;
  /** Order of arrival, given by the scheduler. */
  arrival: number = -1;
  /** Where it stands. */
  status: SequenceStatus = "waiting";
  /** Tokens whose keys and values are in the cache. */
  computed: number = 0;
  /** Blocks in order; a new array each time the sequence starts over. */
  blocks: number[] = [];
  /** How many of the blocks are in the chain of known prefixes. */
  registered: number = 0;
  /** Link of the last of those. */
  link: number = rootLink;
  /** Prompt tokens that were found in the cache when the sequence was first admitted; -1 before. */
  cachedTokens: number = -1;

  /**
   * A sequence that has not been scheduled yet.
   *
   * @param promptTokenIds At least one token.
   * @throws {RangeError} when the prompt is empty.
   */
  constructor(promptTokenIds: ArrayLike<number>, priority = 0) {
    if (promptTokenIds.length === 0) throw new RangeError("Cannot schedule an empty prompt: at least one token is needed");
    this.tokens = Array.from(promptTokenIds);
    this.promptLength = promptTokenIds.length;
    this.priority = priority;
  }

  /** Number of generated tokens. */
  get outputLength(): number {
    return this.tokens.length - this.promptLength;
  }
}
