/**
 * Batches of token ids: truncated and padded as Transformers does.
 *
 * @module
 */
import type { Encoding } from "../engine/host.ts";
import { inWords, requireOptions } from "./arguments.ts";

/** Options of `AutoTokenizer.encodeBatch`. */
export interface BatchOptions {
  /** True or `longest`: up to the longest text. `max_length`: up to `maxLength`. Default false. */
  readonly padding?: boolean | "longest" | "max_length";
  /** Where padding goes; default: what the tokenizer's files say, else right. */
  readonly paddingSide?: "left" | "right";
  /** Cut texts that are longer than `maxLength`. Default false. */
  readonly truncation?: boolean;
  /** In tokens, special ones included. Default: the longest text that the model was made for. */
  readonly maxLength?: number;
  /** Put before and after each text what the model expects there. Default true. */
  readonly addSpecialTokens?: boolean;
  /** Give where each token comes from. */
  readonly returnOffsetsMapping?: boolean;
}

/** Token ids of several texts. */
export interface BatchEncoding {
  /** A row for each text. */
  readonly inputIds: number[][];
  /** 1 for tokens, 0 for padding. */
  readonly attentionMask: number[][];
  /** Start and end of each token in UTF-16 units of its text; `[0, 0]` for special tokens and padding. */
  readonly offsetMapping?: [start: number, end: number][][];
}

/** What batches need of a tokenizer. */
export interface BatchTokenizer {
  encode(text: string, offsets: boolean): Encoding;
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
  readonly padTokenId: number | null;
  readonly paddingSide: "left" | "right";
  readonly truncationSide: "left" | "right";
  readonly modelMaxLength: number;
}

type Row = { ids: number[]; offsets: [number, number][] };

const optionNames: readonly (keyof BatchOptions)[] = ["padding", "paddingSide", "truncation", "maxLength", "addSpecialTokens", "returnOffsetsMapping"];

/** @throws {TypeError} when it is none. */
export function checkText(text: unknown): void {
  if (typeof text !== "string") throw new TypeError(`Cannot encode ${text === null ? "null" : typeof text}: expected a string`);
}

/** Encodes texts. */
export function encodeBatch(texts: readonly string[], options: BatchOptions, tokenizer: BatchTokenizer): BatchEncoding {
  requireOptions("encodeBatch", options, optionNames);
  const { padding = false, truncation = false, paddingSide = tokenizer.paddingSide, returnOffsetsMapping = false } = options;
  if (!Array.isArray(texts)) throw new TypeError("Cannot encode a batch: expected a list of strings; for one text there is encode");
  if (!["left", "right"].includes(paddingSide)) throw new TypeError(`Option paddingSide must be "left" or "right", got ${paddingSide}`);
  if (![true, false, "longest", "max_length"].includes(padding)) {
    throw new TypeError(`Option padding must be true, false, "longest" or "max_length", got ${padding}`);
  }
  if (typeof truncation !== "boolean") throw new TypeError(`Option truncation must be true or false, got ${inWords(truncation)}`);
  const maxLength = options.maxLength ?? tokenizer.modelMaxLength;
  if (options.maxLength !== undefined && !(Number.isSafeInteger(maxLength) && maxLength >= 1)) {
    throw new RangeError(`Option maxLength must be a whole number of at least 1, got ${maxLength}`);
  }
  const rows = texts.map((text) => encodeRow(text, tokenizer, truncation ? maxLength : Infinity, returnOffsetsMapping));
  const lengths = rows.map(({ ids }) => ids.length);
  let width = 0;
  if (padding === "max_length") {
    if (maxLength === Infinity) throw new TypeError("Cannot pad to the longest length: give maxLength, the tokenizer's files name none");
    width = maxLength;
  } else if (padding !== false) width = Math.max(0, ...lengths);
  const { padTokenId } = tokenizer;
  if (padTokenId === null && lengths.some((length) => length < width)) {
    throw new TypeError("Cannot pad: the tokenizer has no padding token; name one as pad_token in tokenizer_config.json");
  }
  const pad = <T>(row: readonly T[], filler: () => T): T[] => {
    const padding = Array.from({ length: Math.max(0, width - row.length) }, filler);
    return paddingSide === "left" ? [...padding, ...row] : [...row, ...padding];
  };
  return {
    inputIds: rows.map(({ ids }) => pad(ids, () => padTokenId!)),
    attentionMask: rows.map(({ ids }) => pad(ids.map(() => 1), () => 0)),
    ...(returnOffsetsMapping && { offsetMapping: rows.map(({ offsets }) => pad(offsets, noPlace)) }),
  };
}

/** Where special tokens and padding come from. */
const noPlace = (): [number, number] => [0, 0];

function encodeRow(text: string, tokenizer: BatchTokenizer, maxLength: number, withOffsets: boolean): Row {
  checkText(text);
  const { prefix, suffix, truncationSide } = tokenizer, encoding = tokenizer.encode(text, withOffsets);
  const room = Math.max(0, maxLength - prefix.length - suffix.length), cut = Math.max(0, encoding.ids.length - room);
  const [first, end] = truncationSide === "left" ? [cut, encoding.ids.length] : [0, encoding.ids.length - cut];
  const ids = [...prefix, ...Array.from(encoding.ids.subarray(first, end)), ...suffix];
  const offsets: [number, number][] = [];
  if (encoding.offsets) {
    offsets.push(...prefix.map(noPlace));
    for (let i = first; i < end; i++) offsets.push([encoding.offsets[2 * i], encoding.offsets[2 * i + 1]]);
    offsets.push(...suffix.map(noPlace));
  }
  return { ids, offsets };
}
