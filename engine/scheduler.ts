/**
 * Which tokens are computed next. The idea is that of vLLM's v1 scheduler: a sequence has `tokens.length` tokens of which `computed` have their keys
 * and values in the cache, and a step gives each sequence `min(tokens.length - computed, budget left)`. A long prompt, a short one, a token of an
 * answer and a restart are all the same case; they share a step.
 *
 * `schedule()` decides, `commit()` takes the result in; with `add()` and `remove()` these are all that changes anything. Nothing here waits,
 * and nothing here knows what a model is.
 *
 * @module
 */
import { BlockPool, rootLink } from "./block_pool.ts";
import { type ScheduledStep, StepBuilder } from "./scheduled_step.ts";
import type { Sequence } from "./sequence.ts";

/** Sizes of a scheduler, named as in vLLM. */
export interface SchedulerOptions {
  /** Blocks in the KV cache. */
  readonly blocks: number;
  /** Tokens in a block. */
  readonly blockSize: number;
  /** Most sequences that run at once. */
  readonly maxNumSeqs: number;
  /** Most tokens of a step, at least `maxNumSeqs`. */
  readonly maxNumBatchedTokens: number;
  /** Most tokens of a sequence, prompt and answer together. */
  readonly maxContext: number;
  /** Whether sequences that begin alike share blocks. */
  readonly enablePrefixCaching: boolean;
}

/** Decides step by step which tokens of which sequences are computed, and where their keys and values go. */
export class Scheduler<S extends Sequence = Sequence> {
  /** Its sizes. */
  readonly options: SchedulerOptions;
  /** Blocks of the cache. */
  readonly pool: BlockPool;
  /** Most tokens of a sequence: `maxContext`, or what all blocks together hold. */
  readonly maxTokens: number;
  /** Sequences that hold blocks, first in rank first. */
  readonly running: S[] = [];
  /** Sequences that do not, first in rank first. */
  readonly waiting: S[] = [];
  /** Prompt tokens of admitted sequences, those of them that were found in the cache, and how often a sequence had to start over. */
  readonly counts: { prefixQueries: number; prefixHits: number; preemptions: number } = { prefixQueries: 0, prefixHits: 0, preemptions: 0 };

  readonly #builder: StepBuilder<S>;
  #arrivals = 0;
  /** The step that is to be committed. */
  #step: ScheduledStep<S> | null = null;

  /**
   * Nothing runs and nothing waits.
   *
   * @param options Sizes.
   * @throws {RangeError} when a size is not a positive integer or the budget cannot give every running sequence a token.
   */
  constructor(options: SchedulerOptions) {
    const { blocks, blockSize, maxNumSeqs, maxNumBatchedTokens, maxContext } = options;
    for (const [name, value] of Object.entries({ maxNumSeqs, maxNumBatchedTokens, maxContext })) {
      if (!Number.isInteger(value) || value < 1) throw new RangeError(`Cannot schedule with ${name} ${value}: expected an integer of at least 1`);
    }
    if (maxNumBatchedTokens < maxNumSeqs) {
      throw new RangeError(`Cannot schedule ${maxNumSeqs} sequences: maxNumBatchedTokens is ${maxNumBatchedTokens}, expected at least maxNumSeqs`);
    }
    this.options = options;
    this.pool = new BlockPool(blocks, blockSize);
    this.maxTokens = Math.min(maxContext, blocks * blockSize);
    this.#builder = new StepBuilder(maxNumBatchedTokens, maxNumSeqs, blockSize);
  }

  /** Whether any sequence runs or waits. */
  get hasWork(): boolean {
    return this.running.length + this.waiting.length > 0;
  }

  /**
   * Lets a sequence wait for its turn.
   *
   * @throws {RangeError} when its prompt leaves no room for an answer.
   */
  add(sequence: S): void {
    if (sequence.promptLength >= this.maxTokens) {
      throw new RangeError(
        `Cannot schedule a prompt of ${sequence.promptLength} tokens: the context holds ${this.maxTokens}, and the answer needs at least one`,
      );
    }
    sequence.arrival = this.#arrivals++;
    insert(this.waiting, sequence);
  }

  /** Takes a sequence out and frees its blocks, finished or not; also while a step with it is under way. */
  remove(sequence: S): void {
    const list = sequence.status === "running" ? this.running : this.waiting, index = list.indexOf(sequence);
    if (index >= 0) list.splice(index, 1);
    this.#freeBlocks(sequence);
    sequence.status = "finished";
  }

  /**
   * Decides the next step: running sequences by rank, then waiting ones while budget, places and blocks last. When a running one finds no block,
   * the last in rank gives up its own and will be computed again: whoever is first in rank always advances.
   *
   * @returns The step. It is empty when there is nothing to do, or when somebody else holds so many blocks of the pool that nobody can advance.
   */
  schedule(): ScheduledStep<S> {
    if (this.#step !== null) throw new Error("Cannot schedule: the last step was not committed");
    const { running, waiting } = this, { maxNumBatchedTokens, maxNumSeqs } = this.options, builder = this.#builder;
    builder.clear();
    let preempted = false;
    for (let i = 0; i < running.length && builder.rows < maxNumBatchedTokens; i++) {
      const sequence = running[i], count = this.#share(sequence);
      while (sequence.status === "running" && !this.#reserve(sequence, count)) {
        this.#preempt(running.pop()!); // not yet in this step, unless it is `sequence` itself: rows are given in order of rank
        preempted = true;
      }
      if (sequence.status === "running") this.#put(sequence, count);
    }
    while (!preempted && waiting.length > 0 && running.length < maxNumSeqs && builder.rows < maxNumBatchedTokens) {
      const sequence = waiting[0];
      this.#takePrefix(sequence);
      const count = this.#share(sequence);
      if (!this.#reserve(sequence, count)) {
        this.#freeBlocks(sequence);
        break; // nobody overtakes: what is freed next is for this one
      }
      waiting.shift();
      if (sequence.cachedTokens < 0) {
        this.counts.prefixQueries += sequence.promptLength;
        this.counts.prefixHits += sequence.cachedTokens = sequence.computed;
      }
      sequence.status = "running";
      insert(running, sequence);
      this.#put(sequence, count);
    }
    const step = builder.build();
    if (step.sequences.length > 0) this.#step = step;
    return step;
  }

  /**
   * Takes in the result of the step that {@link Scheduler.schedule} returned last.
   *
   * @param sampledTokens `[outputs]` next token of each output row. Those of sequences that were removed meanwhile are ignored.
   */
  commit(sampledTokens: ArrayLike<number>): void {
    const step = this.#step;
    if (step === null) throw new Error("Cannot commit: no step is under way");
    const { sequences, contextLengths, outputSequences } = step;
    if (sampledTokens.length !== outputSequences.length) {
      throw new RangeError(`Cannot commit ${sampledTokens.length} tokens: the step has ${outputSequences.length} outputs`);
    }
    for (let i = 0; i < sequences.length; i++) if (sequences[i].status === "running") sequences[i].computed = contextLengths[i];
    for (let i = 0; i < sampledTokens.length; i++) {
      const sequence = sequences[outputSequences[i]];
      if (sequence.status === "running") sequence.tokens.push(sampledTokens[i]);
    }
    this.#step = null;
  }

  /**
   * Gets places for tokens that follow the step that is under way without steps of their own, as many for each of its sequences. They stay with the
   * sequences, made or not.
   *
   * @param most Tokens of each sequence.
   * @returns The step, with the places in its block tables. There are fewer where a context ends or free blocks are few: nobody is preempted for them;
   *   and none where the step leaves tokens of a sequence for a later one.
   */
  reserveAhead(most: number): ScheduledStep<S> {
    if (this.#step === null) throw new Error("Cannot reserve ahead: no step is under way");
    const { sequences, contextLengths } = this.#step, { blockSize, free } = this.pool;
    let ahead = most;
    sequences.forEach(({ status, tokens: { length } }, i) => {
      ahead = Math.min(ahead, status === "running" && contextLengths[i] === length ? this.maxTokens - length - 1 : 0);
    });
    const missing = () => sequences.reduce((sum, { tokens, blocks }) => sum + Math.max(0, Math.ceil((tokens.length + ahead) / blockSize) - blocks.length), 0);
    while (ahead > 0 && missing() > free) ahead--;
    if (ahead <= 0) return this.#step;
    for (const sequence of sequences) this.#reserve(sequence, sequence.tokens.length - sequence.computed + ahead);
    return this.#step = this.#builder.build(ahead);
  }

  /** Takes in a token that was made ahead: the sequence's last one is now in the cache, in a place from {@link Scheduler.reserveAhead}. */
  advance(sequence: S, token: number): void {
    const { tokens } = sequence;
    if (sequence.status !== "running" || sequence.computed !== tokens.length - 1 || tokens.length > sequence.blocks.length * this.pool.blockSize) {
      throw new RangeError(`Cannot advance a sequence that has ${sequence.computed} of ${tokens.length} tokens and ${sequence.blocks.length} blocks`);
    }
    sequence.computed = tokens.length;
    if (this.options.enablePrefixCaching) this.#registerBlocks(sequence, sequence.computed);
    tokens.push(token);
  }

  /** Tokens that the rest of the budget gives a sequence. */
  #share(sequence: S): number {
    return Math.min(sequence.tokens.length - sequence.computed, this.options.maxNumBatchedTokens - this.#builder.rows);
  }

  /** Gets the blocks for `count` more tokens, all or none. */
  #reserve(sequence: S, count: number): boolean {
    const missing = Math.ceil((sequence.computed + count) / this.pool.blockSize) - sequence.blocks.length;
    if (missing > this.pool.free) return false;
    for (let i = 0; i < missing; i++) sequence.blocks.push(this.pool.allocate());
    return true;
  }

  /** Adds the next `count` tokens of a sequence to the step. */
  #put(sequence: S, count: number): void {
    this.#builder.add(sequence, count);
    if (this.options.enablePrefixCaching) this.#registerBlocks(sequence, sequence.computed + count);
  }

  /** Starts a sequence at the end of the longest known prefix. Its last token is computed in any case: its logits are wanted. */
  #takePrefix(sequence: S): void {
    if (!this.options.enablePrefixCaching) return;
    const { blockSize } = this.pool, { tokens, blocks } = sequence;
    for (let start = 0; start + blockSize < tokens.length; start += blockSize) {
      const block = this.pool.find(sequence.link, tokens, start);
      if (block < 0) break;
      this.pool.retain(block);
      blocks.push(block);
      sequence.link = this.pool.link(block);
    }
    sequence.registered = blocks.length;
    sequence.computed = blocks.length * blockSize;
  }

  /** Makes the blocks findable that this step fills. Sequences after it in the same step may read them: all keys are stored before any is read. */
  #registerBlocks(sequence: S, end: number): void {
    const { blockSize } = this.pool;
    for (; (sequence.registered + 1) * blockSize <= end; sequence.registered++) {
      const block = sequence.blocks[sequence.registered];
      sequence.link = this.pool.register(block, sequence.link, sequence.tokens, sequence.registered * blockSize);
    }
  }

  /** Takes a sequence's blocks away; it waits, with its tokens and its rank, to be computed again. */
  #preempt(sequence: S): void {
    this.#freeBlocks(sequence);
    sequence.status = "waiting";
    insert(this.waiting, sequence);
    this.counts.preemptions++;
  }

  /** Last block first: the beginning of a text is what others share, so it shall be forgotten last. */
  #freeBlocks(sequence: S): void {
    for (let i = sequence.blocks.length - 1; i >= 0; i--) this.pool.release(sequence.blocks[i]);
    sequence.blocks = [];
    sequence.computed = sequence.registered = 0;
    sequence.link = rootLink;
  }
}

/** Puts a sequence where its rank (priority, then arrival) belongs. */
function insert<S extends Sequence>(list: S[], sequence: S): void {
  let at = list.length;
  while (at > 0 && (list[at - 1].priority - sequence.priority || list[at - 1].arrival - sequence.arrival) > 0) at--;
  list.splice(at, 0, sequence);
}
