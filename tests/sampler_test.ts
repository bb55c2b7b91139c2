import type { PenaltyRow, SamplerRow } from "../engine/host.ts";
import { loadHost } from "../wasm/host.ts";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import golden from "./fixtures/transformers/generation_golden.json" with { type: "json" };

const { sampler } = await loadHost();
const greedy: SamplerRow = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 7n, position: 0 };
const plain: SamplerRow = { ...greedy, temperature: 1 };

/** Repeatable logits, bell-shaped. */
function noise(seed: number, length: number, spread = 4): Float32Array {
  let state = seed >>> 0;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  return Float32Array.from({ length }, () => (next() + next() + next() - 1.5) * spread);
}

for (const { processor, args, logits, kept } of golden.warpers) {
  const settings: { [name: string]: number | undefined } = args;
  const rows: { [processor: string]: Partial<SamplerRow> } = {
    TemperatureLogitsWarper: { temperature: settings.temperature },
    TopKLogitsWarper: { topK: settings.top_k },
    TopPLogitsWarper: { topP: settings.top_p },
    MinPLogitsWarper: { minP: settings.min_p },
  };
  const row = rows[processor];
  if (row === undefined) continue;
  Deno.test(`${processor} ${JSON.stringify(args)} keeps what Transformers keeps`, () => {
    const got = sampler.distribution(Float32Array.from(logits), { ...plain, ...row });
    assertEquals(got.map(({ tokenId }) => tokenId).sort((a, b) => a - b), kept);
    const weights = kept.map((id) => Math.exp(logits[id] / (row.temperature ?? 1))), total = weights.reduce((a, b) => a + b);
    for (const { tokenId, probability } of got) assertAlmostEquals(probability, weights[kept.indexOf(tokenId)] / total, 1e-6);
  });
}

/** Upper bound of chi-square at p = 1e-6 (Wilson and Hilferty): one test in a million fails by chance, and the seed is fixed. */
const chiSquareBound = (degrees: number) => degrees * (1 - 2 / (9 * degrees) + 4.75 * Math.sqrt(2 / (9 * degrees))) ** 3;

for (
  const [name, row] of Object.entries({
    "temperature alone": { ...plain, temperature: 1.3 },
    "top-p alone": { ...plain, topP: 0.8 },
    "top-k and top-p": { ...plain, topK: 12, topP: 0.95 },
    "min-p": { ...plain, minP: 0.05 },
  })
) {
  Deno.test(`Draws have the frequencies of the distribution: ${name}`, () => {
    const logits = noise(3, 40, 3), draws = 20_000, batch = 500;
    const many = new Float32Array(batch * logits.length);
    for (let i = 0; i < batch; i++) many.set(logits, i * logits.length);
    const counts = new Map<number, number>();
    for (let at = 0; at < draws; at += batch) {
      const rows = Array.from({ length: batch }, (_, i) => ({ ...row, position: at + i }));
      for (const { tokenId } of sampler.sample(many, rows)) counts.set(tokenId, (counts.get(tokenId) ?? 0) + 1);
    }
    const expected = sampler.distribution(logits, row).filter(({ probability }) => probability * draws >= 5);
    const chiSquare = expected.reduce((sum, { tokenId, probability }) => {
      return sum + ((counts.get(tokenId) ?? 0) - probability * draws) ** 2 / (probability * draws);
    }, 0);
    assert(chiSquare < chiSquareBound(expected.length), `${chiSquare} with ${expected.length} tokens`);
    const possible = new Set(sampler.distribution(logits, row).map(({ tokenId }) => tokenId));
    assert([...counts.keys()].every((tokenId) => possible.has(tokenId)));
  });
}

Deno.test("The same seed and position give the same token, whatever else is in the batch", () => {
  const vocab = 1000, logits = noise(1, vocab), row = { ...plain, topP: 0.95, seed: 12345678901234567890n, position: 17 };
  const [alone] = sampler.sample(logits, [row]);
  for (const at of [0, 1, 4]) {
    const batch = noise(2, 5 * vocab);
    batch.set(logits, at * vocab);
    const rows: SamplerRow[] = Array.from({ length: 5 }, (_, i) => i === at ? row : i % 2 ? greedy : { ...plain, topK: 20, logprobs: 3, seed: BigInt(i) });
    assertEquals(sampler.sample(batch, rows)[at], alone);
  }
  const others = Array.from({ length: 50 }, (_, position) => sampler.sample(logits, [{ ...row, position }])[0].tokenId);
  assert(new Set(others).size > 10);
  assert(others.join() !== Array.from({ length: 50 }, (_, position) => sampler.sample(logits, [{ ...row, seed: 5n, position }])[0].tokenId).join());
});

Deno.test("The draw is Philox4x32-10 through the inverse of the cumulative distribution", () => {
  // Random123's known answer for key 0 and counter 0 begins with 6627e8d5.
  const u = 0x6627e8 / 2 ** 24, uniform = new Float32Array(1000);
  assertEquals(sampler.sample(uniform, [{ ...plain, seed: 0n, position: 0 }])[0].tokenId, Math.floor(u * 1000));
  assertEquals(sampler.sample(uniform, [{ ...plain, seed: 0n, position: 0, topP: 0.5 }])[0].tokenId, Math.floor(u * 500));
});

Deno.test("Greedy takes the first maximum", () => {
  const logits = noise(4, 300);
  logits[77] = logits[201] = 50;
  assertEquals(sampler.sample(logits, [greedy]), [{ tokenId: 77 }]);
  assertEquals(sampler.sample(new Float32Array([3, -1, 5, 5, -2, 0, 0, 1, 0]), [greedy, greedy, greedy]).map(({ tokenId }) => tokenId), [2, 0, 1]);
});

Deno.test("Log probabilities are of the logits as given, the most likely first", () => {
  const logits = noise(9, 200), max = Math.max(...logits), total = logits.reduce((sum, x) => sum + Math.exp(x - max), 0);
  const of = (id: number) => logits[id] - max - Math.log(total);
  const order = [...logits.keys()].sort((a, b) => logits[b] - logits[a] || a - b);
  for (const row of [greedy, { ...plain, temperature: 5 }, { ...plain, topK: 4, topP: 0.5 }]) {
    const [{ tokenId, logprob, topLogprobs }] = sampler.sample(logits, [{ ...row, logprobs: 7 }]);
    assertAlmostEquals(logprob!, of(tokenId), 1e-5);
    assertEquals(topLogprobs!.map(({ tokenId }) => tokenId), order.slice(0, 7));
    for (const top of topLogprobs!) assertAlmostEquals(top.logprob, of(top.tokenId), 1e-5);
  }
  const [none, all, plainOne] = sampler.sample(new Float32Array([1, 2, 3, 4, 5, 6]), [{ ...greedy, logprobs: 0 }, { ...greedy, logprobs: 9 }, greedy]);
  assertEquals(none.topLogprobs, []);
  assertEquals(all.topLogprobs!.map(({ tokenId }) => tokenId), [1, 0]);
  assertEquals(plainOne, { tokenId: 1 });
});

/** The formulas, one id at a time. */
function penalizeNaively(logits: Float32Array, row: PenaltyRow): Float32Array {
  const prompt = Array.from(row.promptTokenIds), output = Array.from(row.outputTokenIds);
  return logits.map((logit, id) => {
    let value = Math.fround(logit + (row.logitBias?.get(id) ?? 0));
    if (prompt.includes(id) || output.includes(id)) value = Math.fround(value < 0 ? value * row.repetitionPenalty : value / row.repetitionPenalty);
    const count = output.filter((other) => other === id).length;
    return value - row.frequencyPenalty * count - row.presencePenalty * Number(count > 0);
  });
}

Deno.test("Penalties are those of the formulas, in place", () => {
  const none = { repetitionPenalty: 1, frequencyPenalty: 0, presencePenalty: 0, promptTokenIds: [], outputTokenIds: [] };
  const ids = { promptTokenIds: [1, 5, 5, 9], outputTokenIds: new Uint32Array([5, 2, 2, 2, 30]) };
  const cases: PenaltyRow[] = [
    none,
    { ...none, ...ids, repetitionPenalty: 1.3 },
    { ...none, ...ids, repetitionPenalty: 0.5 },
    { ...none, ...ids, frequencyPenalty: 0.25 },
    { ...none, ...ids, presencePenalty: -0.5 },
    { ...none, ...ids, repetitionPenalty: 1.1, frequencyPenalty: 0.5, presencePenalty: 1, logitBias: new Map([[5, -100], [3, 2.5], [1, -Infinity]]) },
  ];
  for (const vocab of [31, 50, 40]) {
    for (const row of cases) {
      const logits = noise(vocab, vocab), expected = penalizeNaively(logits, row);
      sampler.penalize(logits, row);
      logits.forEach((logit, id) => assert(logit === expected[id] || Math.abs(logit - expected[id]) < 1e-5, `${id}: ${logit}, expected ${expected[id]}`));
    }
  }
  const hit = { ...none, logitBias: new Map([[50, 1]]) };
  assertThrows(() => sampler.penalize(new Float32Array(50), hit), RangeError, "Cannot bias token 50: the vocabulary has 50 tokens");
  assertThrows(() => sampler.penalize(new Float32Array(5), { ...none, repetitionPenalty: 0 }), RangeError, "must be above 0");
});

Deno.test("Hostile rows: tiny vocabularies, k beyond it, extreme settings and logits", () => {
  const draw = (values: number[], row: Partial<SamplerRow>) => sampler.sample(new Float32Array(values), [{ ...plain, ...row }])[0].tokenId;
  const settings: Partial<SamplerRow>[] = [{}, { topK: 1 }, { topK: 100 }, { topP: 0 }, { minP: 1 }, { topP: 0.5, minP: 0.5, topK: 2 }, { temperature: 1e-6 }];
  for (const row of settings) {
    assertEquals(draw([-3], row), 0);
    assertEquals(draw([0, 1e30, -1e30, 3, 3], row), 1);
    assertEquals(draw([-Infinity, -Infinity, -1e38, -Infinity, -Infinity], row), 2);
    assertEquals(draw([0, 0, Infinity, 1, -Infinity], row), 2);
    assertThrows(() => draw([1, NaN, 2], row), RangeError, "Cannot sample row 0: its logits have NaN");
    assertThrows(() => draw([-Infinity, -Infinity], row), RangeError, "Cannot sample row 0: all its logits are -Infinity");
  }
  assertEquals(draw([1, 2, 3, 2, 1], { temperature: 1e-6 }), 2);
  assertEquals(draw([1, 2, 3, 2, 1], { topP: 0 }), 2);
  assertEquals(draw([1, 2, 3, 2, 1], { temperature: 5e-324 }), 2);
  assertEquals(draw([5, 5, 5], { topK: 1, position: 2 }), sampler.sample(new Float32Array([5, 5, 5]), [{ ...plain, position: 2 }])[0].tokenId);
});

Deno.test("The error names the row", () => {
  const logits = new Float32Array(6).fill(1);
  logits[3] = NaN;
  assertThrows(() => sampler.sample(logits, [greedy, greedy, greedy]), RangeError, "Cannot sample row 1: its logits have NaN");
});

Deno.test("Settings and shapes that make no sense are refused", () => {
  const sample = (row: Partial<SamplerRow>) => () => sampler.sample(new Float32Array(4), [{ ...plain, ...row }]);
  assertThrows(sample({ temperature: -1 }), RangeError, "Cannot sample row 0: temperature must be a number from 0 up, got -1");
  assertThrows(sample({ temperature: NaN }), RangeError, "temperature");
  assertThrows(sample({ topK: 1.5 }), RangeError, "topK");
  assertThrows(sample({ topP: 1.01 }), RangeError, "topP must be in 0..1, got 1.01");
  assertThrows(sample({ minP: -0.1 }), RangeError, "minP");
  assertThrows(sample({ position: -1 }), RangeError, "position");
  assertThrows(sample({ logprobs: -1 }), RangeError, "logprobs");
  assertThrows(() => sampler.sample(new Float32Array(5), [greedy, greedy]), RangeError, "Cannot sample 2 rows from 5 logits");
  assertThrows(() => sampler.sample(new Float32Array(0), [greedy]), RangeError, "Cannot sample 1 rows from 0 logits");
  assertEquals(sampler.sample(new Float32Array(0), []), []);
});

Deno.test("Logits are unchanged, and those written in place are sampled without a copy", () => {
  const logits = noise(6, 500), copy = logits.slice(), row = { ...plain, topK: 9, logprobs: 2 };
  const expected = sampler.sample(logits, [row, { ...plain, position: 3 }]);
  assertEquals(logits, copy);
  const view = sampler.logitsView(2, 250);
  view.set(logits);
  assertEquals(sampler.sample(view, [row, { ...plain, position: 3 }]), expected);
});

Deno.test("A whole vocabulary: every way of sampling agrees with a sort", () => {
  const vocab = 128_256, logits = noise(8, vocab, 12);
  const order = [...logits.keys()].sort((a, b) => logits[b] - logits[a] || a - b);
  for (const row of [{ topK: 50, topP: 0.9 }, { topP: 0.9 }, { minP: 0.2 }, { topK: 5000 }, { topP: 0.3, minP: 0.01 }]) {
    const kept = sampler.distribution(logits, { ...plain, ...row });
    assertEquals(kept.map(({ tokenId }) => tokenId), order.slice(0, kept.length));
    let before = 0;
    const edges = new Map(kept.map(({ tokenId, probability }) => [tokenId, [before, before += probability]]));
    const positions = Array.from({ length: 20 }, (_, position) => position);
    const uniforms = positions.map((position) => sampler.sample(new Float32Array(1 << 12), [{ ...plain, position }])[0].tokenId / 4096);
    for (const position of positions) {
      const [low, high] = edges.get(sampler.sample(logits, [{ ...plain, ...row, position }])[0].tokenId)!;
      assert(uniforms[position] < high + 1e-6 && uniforms[position] + 1 / 4096 > low - 1e-6);
    }
  }
});
