import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { GenerationConfig, resolveGeneration } from "./generation_config.ts";
import type { GenerationOptions } from "./generation_options.ts";

const context = { promptLength: 10, batchSize: 2, maxPositionEmbeddings: 64 };
const resolve = (...layers: (GenerationOptions | undefined)[]) => resolveGeneration(layers, context);

Deno.test("defaults are those of Transformers", () => {
  const { warnings, ...config } = resolve();
  assertEquals(warnings, []);
  assertEquals(config, {
    maxLength: 30,
    maxNewTokens: 20,
    minLength: 0,
    stopStrings: [],
    doSample: false,
    numReturnSequences: 1,
    temperature: 1,
    topK: 50,
    topP: 1,
    eosTokenIds: [],
    padTokenId: 0,
  });
});

Deno.test("the call wins over the argument, the argument over the model", () => {
  const model = GenerationConfig.fromJson({
    do_sample: true,
    temperature: 0.7,
    top_p: 0.9,
    eos_token_id: [7, 5],
    transformers_version: "5",
    _from_model_config: true,
  });
  const config = resolve({ temperature: 0.2, topK: null }, new GenerationConfig({ temperature: 0.5, topK: 3, maxNewTokens: 5 }), model);
  assertEquals([config.doSample, config.temperature, config.topK, config.topP, config.maxNewTokens], [true, 0.2, 3, 0.9, 5]);
  assertEquals([config.eosTokenIds, config.padTokenId], [[7, 5], 7]);
  assertStringIncludes(config.warnings[0], "padding with the first end-of-text token 7");
});

Deno.test("lengths", () => {
  assertEquals(resolve({ maxLength: 12 }).maxNewTokens, 2);
  assertEquals(resolve({ maxLength: 12, maxNewTokens: 4 }).maxLength, 14);
  assertStringIncludes(resolve({ maxLength: 12, maxNewTokens: 4 }).warnings[0], "maxNewTokens wins");
  assertEquals(resolve({ minNewTokens: 3 }).minLength, 13);
  assertEquals(resolveGeneration([], { promptLength: 50, batchSize: 1, maxPositionEmbeddings: 64 }).maxLength, 64);
  assertThrows(() => resolve({ maxLength: 10 }), RangeError, "raise maxLength, or set maxNewTokens");
  assertThrows(() => resolve({ maxNewTokens: 0 }), RangeError, "maxNewTokens must be at least 1");
  assertThrows(() => resolveGeneration([], { promptLength: 64, batchSize: 1, maxPositionEmbeddings: 64 }), RangeError, "shorten the prompt");
});

Deno.test("mistakes name the option and the fix", () => {
  const cases: [object, new (...args: never[]) => Error, string][] = [
    [{ max_new_tokens: 3 }, TypeError, "Unknown generation option max_new_tokens, did you mean maxNewTokens"],
    [{ warmth: 3 }, TypeError, "Unknown generation option warmth"],
    [{ temperature: "hot" }, TypeError, 'temperature must be a number, got "hot"'],
    [{ maxNewTokens: 1.5 }, TypeError, "maxNewTokens must be a whole number"],
    [{ maxNewTokens: -1 }, RangeError, "maxNewTokens must be a whole number from 0 up, got -1"],
    [{ temperature: NaN }, TypeError, "temperature must be a number, got NaN"],
    [{ sequenceBias: [[1, 2]] }, TypeError, "sequenceBias must be"],
    [{ badWordsIds: [[1], []] }, TypeError, "badWordsIds must be a list of lists of token ids, none of them empty"],
    [{ maxTime: -1 }, RangeError, "maxTime must be at least 0, got -1"],
    [{ doSample: true, temperature: 0 }, RangeError, "for greedy decoding set doSample to false"],
    [{ doSample: true, topP: 1.5 }, RangeError, "topP must be between 0 and 1"],
    [{ forcedEosTokenId: [4, 5], suppressTokens: [5, 4] }, RangeError, "forcedEosTokenId forces what suppressTokens suppresses (4, 5)"],
    [{ repetitionPenalty: 0 }, RangeError, "repetitionPenalty must be above 0"],
    [{ numReturnSequences: 2 }, RangeError, "set doSample"],
    [{ numBeams: 4 }, TypeError, "numBeams = 4 is not supported yet"],
    [{ promptLookupNumTokens: 3 }, TypeError, "promptLookupNumTokens = 3 is not supported yet"],
    [{ penaltyAlpha: 0.6 }, TypeError, "not supported yet"],
    [{ outputAttentions: true }, TypeError, "not supported yet"],
    [{ useCache: false }, TypeError, "not supported yet"],
  ];
  for (const [options, errorClass, message] of cases) assertThrows(() => resolve(options), errorClass as typeof Error, message);
  assertEquals(resolve({ doSample: false, temperature: 0, numBeams: 1, useCache: true, maxTime: 0 }).doSample, false);
});
