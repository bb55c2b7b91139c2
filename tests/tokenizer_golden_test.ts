/** Ids, offsets and text of Hugging Face's tokenizers and llama.cpp. */
import { assert, assertEquals } from "@std/assert";
import type { PreTokenizer, TokenizerSpec } from "../engine/host.ts";
import { loadHost } from "../wasm/host.ts";
import { fixture, tokenizer, type TokenizerName, tokenizerNames, tokenizerSpec } from "./tokenizers.ts";

interface Golden {
  texts: string[];
  tokenizers: Record<TokenizerName, {
    ids: number[][];
    offsets_first20: [number, number][][];
    decoded_keep_special: string[];
    decoded_skip_special_differs: Record<string, string>;
  }>;
}
const golden = await fixture<Golden>("smollm3/tokenizer_golden.json");

for (const name of tokenizerNames) {
  Deno.test(`${name}: ids and decoded text of ${golden.texts.length} hostile texts`, async () => {
    const { ids, decoded_keep_special, decoded_skip_special_differs } = golden.tokenizers[name], bpe = await tokenizer(name);
    golden.texts.forEach((text, i) => {
      assertEquals(Array.from(bpe.encode(text).ids), ids[i], text);
      assertEquals(Array.from(bpe.encode(text, { offsets: true }).ids), ids[i], text);
      assertEquals(bpe.decode(ids[i]), decoded_keep_special[i]);
      assertEquals(bpe.decode(ids[i], { skipSpecialTokens: true }), decoded_skip_special_differs[i] ?? decoded_keep_special[i]);
    });
  });

  Deno.test(`${name}: offsets, in UTF-16 units`, async () => {
    const bpe = await tokenizer(name);
    golden.tokenizers[name].offsets_first20.forEach((expected, i) => {
      const text = golden.texts[i], units = [0];
      for (const character of text) units.push(units.at(-1)! + character.length);
      assertEquals(Array.from(bpe.encode(text, { offsets: true }).offsets!), expected.flat().map((codePoints) => units[codePoints]), text);
    });
  });
}

Deno.test("llama3: pairs of the npm tokenizer and the check text of llama.cpp", async () => {
  const bpe = await tokenizer("llama3");
  const pairs = await fixture<{ text: string; ids: number[] }[]>("smollm3/llama3_bpe_golden.json");
  pairs.push(await fixture("smollm3/llama_cpp_chktxt_ids.json"));
  assert(pairs.length > 40);
  for (const { text, ids } of pairs) assertEquals(Array.from(bpe.encode(text).ids), ids, text);
});

const regex = (pattern: string): PreTokenizer => ({ type: "regex", pattern, behavior: "isolated", invert: false });
const gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const llama3 = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

for (const [name, split] of [["tiny", [regex(llama3)]], ["smollm2", [regex("\\p{N}"), regex(gpt2)]]] as const) {
  Deno.test(`${name}: the same ids when the splits are regular expressions`, async () => {
    const bpe = (await loadHost()).createTokenizer({ ...await tokenizerSpec(name), split });
    golden.texts.forEach((text, i) => assertEquals(Array.from(bpe.encode(text).ids), golden.tokenizers[name].ids[i], text));
    bpe.free();
  });
}

Deno.test("prefixSpace: a space before each text that has none, outside the offsets", async () => {
  const spec: TokenizerSpec = { ...await tokenizerSpec("tiny"), split: [{ type: "prefixSpace" }, { type: "gpt2" }], trimOffsets: undefined };
  const bpe = (await loadHost()).createTokenizer(spec), plain = await tokenizer("tiny");
  const { ids, offsets } = bpe.encode("the é<|im_end|>the", { offsets: true });
  const the = plain.encode(" the").ids, rest = plain.encode(" é").ids, end = plain.encode("<|im_end|>").ids;
  assertEquals(Array.from(ids), [...the, ...rest, ...end, ...the]);
  assertEquals(Array.from(offsets!.subarray(0, 2)), [0, 3]);
  assertEquals(Array.from(offsets!.subarray(-4)), [5, 15, 15, 18]);
  assertEquals(bpe.decode(ids), " the é<|im_end|> the");
  bpe.free();
});

Deno.test("added tokens: flags of tokenizer.json", async () => {
  const token = { special: false, singleWord: false, lstrip: false, rstrip: false, normalized: false };
  const base = await tokenizerSpec("tiny"), first = base.tokens.length + base.addedTokens.length;
  const spec = {
    ...base,
    addedTokens: [
      ...base.addedTokens,
      { ...token, id: first, content: "left", lstrip: true },
      { ...token, id: first + 1, content: "right", rstrip: true },
      { ...token, id: first + 2, content: "word", singleWord: true },
      { ...token, id: first + 3, content: "leftover" },
      { ...token, id: first + 4, content: "rough", normalized: true },
    ],
  };
  const bpe = (await loadHost()).createTokenizer(spec);
  const found = (text: string) => Array.from(bpe.encode(text).ids, (id) => id >= first ? id - first : bpe.decode([id]));
  assertEquals(found("a \nleft b"), ["a", 0, " b"]);
  assertEquals(found("right \n a"), [1, "a"]);
  assertEquals(found("word"), [2]);
  assertEquals(found("a word."), ["a", " ", 2, "."]);
  assert(!found("swords").includes(2));
  assertEquals(found("leftover"), [3]);
  assertEquals(found("left over")[0], 0);
  // What is not normalized goes first, even when it begins later.
  assertEquals(found("rough"), [4]);
  assertEquals(found("rouright").at(-1), 1);
  assertEquals(bpe.vocabSize, first + 5);
  bpe.free();
});

Deno.test("a vocabulary whose merges make no token is refused, by name", async () => {
  const host = await loadHost(), spec = await tokenizerSpec("tiny");
  const message = (merges: string[]) => {
    try {
      host.createTokenizer({ ...spec, merges });
    } catch (error) {
      assert(error instanceof SyntaxError);
      return error.message;
    }
    return "";
  };
  assert(message(["Ġ a", "a qqq"]).includes('merge 1 ("a qqq")'));
  assert(message(["Ġa"]).includes('merge 0 ("Ġa")'));
});
