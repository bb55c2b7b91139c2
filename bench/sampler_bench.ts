/**
 * The sampler over the vocabulary of SmolLM3, beside a plain sort in JavaScript: `deno bench bench/sampler_bench.ts`.
 *
 * "copied": the logits go into the host module's memory first, as those of a backend with a memory of its own do.
 *
 * @module
 */
import type { SamplerRow } from "../engine/host.ts";
import { loadHost } from "../wasm/host.ts";

const vocabSize = 128_256, { sampler } = await loadHost();
let state = 1;
const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
/** Bell-shaped, a few far above the rest, as a language model gives them. */
const logits = Float32Array.from({ length: vocabSize }, () => (next() + next() + next() - 1.5) * 6 + (next() < 1e-4 ? 8 : 0));

const rows: Record<string, SamplerRow> = {
  "greedy": { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 1n, position: 0 },
  "top-k 50, top-p 0.9": { temperature: 0.6, topK: 50, topP: 0.9, minP: 0, seed: 1n, position: 0 },
  "top-p 0.95": { temperature: 0.6, topK: 0, topP: 0.95, minP: 0, seed: 1n, position: 0 },
  "min-p 0.05": { temperature: 0.6, topK: 0, topP: 1, minP: 0.05, seed: 1n, position: 0 },
  "temperature alone": { temperature: 1, topK: 0, topP: 1, minP: 0, seed: 1n, position: 0 },
  "greedy with 5 logprobs": { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 1n, position: 0, logprobs: 5 },
};

/** What most JavaScript libraries do. */
function sortAndDraw(logits: Float32Array, { temperature, topK, topP }: SamplerRow): number {
  const ids = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a]).slice(0, topK || undefined);
  const weights = ids.map((id) => Math.exp((logits[id] - logits[ids[0]]) / temperature)), total = weights.reduce((a, b) => a + b);
  let kept = 0, count = 0;
  while (count < ids.length && kept < topP * total) kept += weights[count++];
  let left = Math.random() * kept;
  return ids[weights.findIndex((weight, i) => (left -= weight) < 0 || i === count - 1)];
}

for (const [name, row] of Object.entries(rows)) {
  Deno.bench(`${name}, in place`, { group: name }, (bench) => {
    const view = sampler.logitsView(1, vocabSize);
    view.set(logits);
    bench.start();
    sampler.sample(view, [row]);
    bench.end();
  });
  Deno.bench(`${name}, copied`, { group: name }, () => void sampler.sample(logits, [row]));
}
Deno.bench("top-k 50, top-p 0.9, sorted in JavaScript", { group: "top-k 50, top-p 0.9" }, () => void sortAndDraw(logits, rows["top-k 50, top-p 0.9"]));
