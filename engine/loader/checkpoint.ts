/**
 * A model's files opened: configuration, tokenizer and weights in one form, whatever they are stored as.
 *
 * @module
 */
import type { SmolLM3Config } from "../config.ts";
import type { JsonObject } from "../json_fields.ts";
import type { ModelSource } from "./source.ts";
import type { StoredTensor } from "./tensor_store.ts";
import type { TokenizerFiles } from "./tokenizer_files.ts";

/** An open checkpoint. Its files stay open until {@link Checkpoint.close}. */
export interface Checkpoint {
  /** What it was loaded from, for messages. */
  readonly name: string;
  readonly config: SmolLM3Config;
  /** `config.json` as it is; of a GGUF file what its metadata say, in the same spelling. */
  readonly configJson: JsonObject;
  /** `generation_config.json`, empty when there is none; of a GGUF file the token ids of its metadata. */
  readonly generationConfig: JsonObject;
  readonly tokenizer: TokenizerFiles;
  /** By the names of Transformers: `model.layers.0.self_attn.q_proj.weight`. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /**
   * Whole rows of a matrix in its storage type, heads in the order of Transformers; a vector is one row. Several may be read at once.
   *
   * @param into Where they are to be; memory of their own otherwise.
   * @returns The beginning of `into`, as much as the rows take.
   */
  readRows(name: string, firstRow: number, rowCount: number, into?: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
  /** Safe to call twice. */
  close(): void;
}

/**
 * Opens a model. Reads its headers, no weights.
 *
 * @throws {Deno.errors.NotFound} when a file is missing.
 * @throws {SyntaxError | TypeError | RangeError} when a file is not what it should be; the message names file, place and field.
 */
export async function openCheckpoint(source: ModelSource): Promise<Checkpoint> {
  if (source.kind === "gguf") return await (await import("./gguf_checkpoint.ts")).openGgufCheckpoint(source);
  return await (await import("./transformers_checkpoint.ts")).openTransformersCheckpoint(source);
}
