/**
 * The three vocabularies that tests use, each made once.
 *
 * @module
 */
import type { BpeTokenizer, TokenizerSpec } from "../engine/host.ts";
import { parseTokenizerJson } from "../engine/loader/tokenizer_json.ts";
import { loadHost } from "../wasm/host.ts";

export const tokenizerFiles = {
  llama3: "fixtures/smollm3/tokenizer.json.gz",
  smollm2: "fixtures/smollm2/tokenizer.json.gz",
  tiny: "../models/smollm3-tiny/tokenizer.json",
} as const;
export type TokenizerName = keyof typeof tokenizerFiles;
export const tokenizerNames = Object.keys(tokenizerFiles) as TokenizerName[];

/** Text of a `tokenizer.json`. */
export async function tokenizerText(name: TokenizerName): Promise<string> {
  const file = await Deno.open(new URL(tokenizerFiles[name], import.meta.url));
  const stream = tokenizerFiles[name].endsWith(".gz") ? file.readable.pipeThrough(new DecompressionStream("gzip")) : file.readable;
  return await new Response(stream).text();
}

const specs = new Map<TokenizerName, Promise<TokenizerSpec>>();
const tokenizers = new Map<TokenizerName, Promise<BpeTokenizer>>();

export function tokenizerSpec(name: TokenizerName): Promise<TokenizerSpec> {
  let spec = specs.get(name);
  if (spec === undefined) specs.set(name, spec = tokenizerText(name).then((text) => parseTokenizerJson(text, name)));
  return spec;
}

export function tokenizer(name: TokenizerName): Promise<BpeTokenizer> {
  let made = tokenizers.get(name);
  if (made === undefined) tokenizers.set(name, made = Promise.all([loadHost(), tokenizerSpec(name)]).then(([host, spec]) => host.createTokenizer(spec)));
  return made;
}

/** Reads a fixture. */
export async function fixture<T>(path: string): Promise<T> {
  return JSON.parse(await Deno.readTextFile(new URL(`fixtures/${path}`, import.meta.url)));
}
