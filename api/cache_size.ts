/**
 * How large the KV cache is.
 *
 * @module
 */
import type { CacheType } from "../engine/backend.ts";
import type { Program } from "../engine/program.ts";

/** What the size is chosen by. */
export interface CacheSizeOptions {
  /** Most tokens of a sequence; left out: the model's context, or as much of it as fits. */
  readonly maxModelLen?: number;
  /** Bytes of the cache; left out: see {@link cacheSize}. */
  readonly cacheBytes?: number;
  readonly blockSize: number;
  readonly maxNumSeqs: number;
  readonly cacheType: CacheType;
}

/** A KV cache's size. */
export interface CacheSize {
  readonly blocks: number;
  /** Most tokens of a sequence. */
  readonly maxModelLen: number;
  readonly bytes: number;
}

/** Without further word one sequence gets this many tokens at least, if the model has so many. */
const defaultTokens = 8192;
/** Without further word the cache is not larger than this, if that is enough for {@link defaultTokens}. */
const defaultBytes = 512 * 2 ** 20;

/** Bytes of keys and values of one token in all layers. */
export function cacheBytesPerToken(program: Program, cacheType: CacheType): number {
  return program.caches.reduce((sum, { kvHeads, headDim }) => sum + 2 * kvHeads * headDim, 0) * (cacheType === "f32" ? 4 : 2);
}

/**
 * Chooses the size: what is asked for, or room for the contexts of all sequences within 512 MiB, but for 8,192 tokens in any case.
 *
 * @param context Tokens that the model was made for.
 * @throws {RangeError} when the bytes that are asked for do not hold the tokens that are asked for, or not even a block.
 */
export function cacheSize(program: Program, context: number, options: CacheSizeOptions): CacheSize {
  const { blockSize, maxNumSeqs, cacheType, cacheBytes } = options;
  const wanted = options.maxModelLen ?? context;
  if (!Number.isSafeInteger(wanted) || wanted < 1) throw new RangeError(`maxModelLen must be a whole number of at least 1, got ${wanted}`);
  const perToken = cacheBytesPerToken(program, cacheType), perBlock = perToken * blockSize, wantedBlocks = Math.ceil(wanted / blockSize);
  let blocks: number;
  if (cacheBytes !== undefined) {
    blocks = Math.floor(cacheBytes / perBlock);
    if (!(blocks >= 1)) {
      throw new RangeError(`A KV cache of ${cacheBytes} bytes holds no block of ${blockSize} tokens, which takes ${perBlock}: raise cacheBytes`);
    }
    if (options.maxModelLen !== undefined && blocks < wantedBlocks) {
      const needed = wantedBlocks * perBlock;
      throw new RangeError(`A KV cache of ${cacheBytes} bytes holds ${blocks * blockSize} tokens, maxModelLen is ${wanted}: raise cacheBytes to ${needed}`);
    }
  } else {
    const tokens = Math.max(options.maxModelLen ?? Math.min(context, defaultTokens), Math.min(maxNumSeqs * wanted, defaultBytes / perToken));
    blocks = Math.ceil(tokens / blockSize);
  }
  return { blocks, maxModelLen: Math.min(wanted, blocks * blockSize), bytes: blocks * perBlock };
}
