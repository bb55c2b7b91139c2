/**
 * The blocks of the KV cache: who holds them, which are free, and which free ones still hold something worth finding again.
 *
 * A full block whose content is known is *registered* under a link of a hash chain: (link of the block before it, its own tokens). A registered
 * block outlives its sequence: it waits in the free list, oldest first, and can be taken back until somebody else needs the room.
 * Hashes only find candidates; links and tokens are then compared, so that no prompt, however made, can reach another prompt's keys and values.
 *
 * @module
 */

/** The link before a sequence's first block. */
export const rootLink: number = 0;

/** A fixed number of blocks of `blockSize` tokens, with reference counts and a least-recently-used list of free blocks. */
export class BlockPool {
  /** Blocks of the pool. */
  readonly blocks: number;
  /** Tokens of a block. */
  readonly blockSize: number;
  readonly #references: Int32Array;
  // Doubly linked list of free blocks; entry `blocks` is both ends.
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  #free = 0;
  // What registered blocks hold. A link of 0 means: not registered.
  readonly #links: Float64Array;
  readonly #parents: Float64Array;
  readonly #hashes: Int32Array;
  readonly #tokens: Uint32Array;
  readonly #byHash = new Map<number, number>();
  #lastLink = rootLink;

  /**
   * All blocks free and unknown.
   *
   * @param blocks Number of blocks, at least 1.
   * @param blockSize Tokens in a block, at least 1.
   * @throws {RangeError} when either is not a positive integer.
   */
  constructor(blocks: number, blockSize: number) {
    if (!Number.isInteger(blocks) || blocks < 1) throw new RangeError(`Cannot make a pool of ${blocks} blocks: expected an integer of at least 1`);
    if (!Number.isInteger(blockSize) || blockSize < 1) throw new RangeError(`Cannot use a block size of ${blockSize}: expected an integer of at least 1`);
    this.blocks = blocks;
    this.blockSize = blockSize;
    this.#references = new Int32Array(blocks);
    this.#next = new Int32Array(blocks + 1).fill(blocks);
    this.#previous = new Int32Array(blocks + 1).fill(blocks);
    this.#links = new Float64Array(blocks);
    this.#parents = new Float64Array(blocks);
    this.#hashes = new Int32Array(blocks);
    this.#tokens = new Uint32Array(blocks * blockSize);
    for (let block = 0; block < blocks; block++) this.#insert(block, blocks);
  }

  /** Blocks that {@link BlockPool.allocate} can still give. */
  get free(): number {
    return this.#free;
  }

  /**
   * Takes the free block that was of use longest ago, and forgets what it held.
   *
   * @throws {RangeError} when no block is free.
   */
  allocate(): number {
    const block = this.#next[this.blocks];
    if (block === this.blocks) throw new RangeError(`Cannot allocate a block: all ${this.blocks} are in use`);
    if (this.#links[block] !== 0) {
      this.#byHash.delete(this.#hashes[block]);
      this.#links[block] = 0;
    }
    this.#unlink(block);
    this.#references[block] = 1;
    return block;
  }

  /** Adds a holder to a block that is in use, or takes a registered one back from the free list. */
  retain(block: number): void {
    if (this.#references[block]++ === 0) this.#unlink(block);
  }

  /** Removes a holder. Without holders a registered block is the last to be given away, any other the first. */
  release(block: number): void {
    if (this.#references[block] === 0) throw new RangeError(`Cannot release block ${block}: nobody holds it`);
    if (--this.#references[block] === 0) this.#insert(block, this.#links[block] === 0 ? this.#next[this.blocks] : this.blocks);
  }

  /**
   * Looks for the block that continues a prefix.
   *
   * @param parent Link of the block before it, or {@link rootLink}.
   * @param tokens Tokens of a sequence, of which `[start, start + blockSize)` are the block's.
   * @returns The block, or -1.
   */
  find(parent: number, tokens: ArrayLike<number>, start: number): number {
    const block = this.#byHash.get(this.#hash(parent, tokens, start));
    return block !== undefined && this.#holds(block, parent, tokens, start) ? block : -1;
  }

  /**
   * Makes a full block findable. Of two blocks with the same content the first stays registered.
   *
   * @param block A block in use that holds (or will hold once the step that is being scheduled has run) keys and values of these tokens.
   * @returns The link to pass as `parent` for the block after it.
   */
  register(block: number, parent: number, tokens: ArrayLike<number>, start: number): number {
    const hash = this.#hash(parent, tokens, start), known = this.#byHash.get(hash);
    if (known !== undefined) {
      // A different content under the same hash: this chain ends here, findable no further. A fresh link keeps its children apart.
      return this.#holds(known, parent, tokens, start) ? this.#links[known] : ++this.#lastLink;
    }
    this.#byHash.set(hash, block);
    this.#hashes[block] = hash;
    this.#parents[block] = parent;
    for (let i = 0; i < this.blockSize; i++) this.#tokens[block * this.blockSize + i] = tokens[start + i];
    return this.#links[block] = ++this.#lastLink;
  }

  /** How many hold the block. */
  references(block: number): number {
    return this.#references[block];
  }

  /** The block's link, or 0 when it is not registered. */
  link(block: number): number {
    return this.#links[block];
  }

  /** Free blocks in the order in which they will be given away. */
  *freeBlocks(): Generator<number, void> {
    for (let block = this.#next[this.blocks]; block !== this.blocks; block = this.#next[block]) yield block;
  }

  #hash(parent: number, tokens: ArrayLike<number>, start: number): number {
    let hash = Math.imul(parent, 0x9e3779b1);
    for (let i = start; i < start + this.blockSize; i++) {
      hash = Math.imul(hash ^ tokens[i], 0x85ebca6b);
      hash ^= hash >>> 15;
    }
    return hash;
  }

  #holds(block: number, parent: number, tokens: ArrayLike<number>, start: number): boolean {
    if (this.#parents[block] !== parent) return false;
    for (let i = 0, at = block * this.blockSize; i < this.blockSize; i++) if (this.#tokens[at + i] !== tokens[start + i]) return false;
    return true;
  }

  #insert(block: number, before: number): void {
    const previous = this.#previous[before];
    this.#next[previous] = this.#previous[before] = block;
    this.#next[block] = before;
    this.#previous[block] = previous;
    this.#free++;
  }

  #unlink(block: number): void {
    this.#next[this.#previous[block]] = this.#next[block];
    this.#previous[this.#next[block]] = this.#previous[block];
    this.#free--;
  }
}
