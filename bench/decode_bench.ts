/**
 * Prefill and decode of the embedded model: the program alone, and through `generate`.
 *
 *     deno bench -A bench/decode_bench.ts
 *
 * @module
 */
import { AutoModelForCausalLM } from "../api/causal_lm.ts";
import { loadModel } from "../api/load_model.ts";
import { BenchRunner } from "../cli/bench_runs.ts";

for (const threads of [1, Math.min(2, navigator.hardwareConcurrency)]) {
  for (const [name, options] of [["bf16", {}], ["q8_0", { quantization: "q8_0" }], ["q4_0", { quantization: "q4_0" }]] as const) {
    const loaded = await loadModel("embedded", { ...options, threads, maxNumSeqs: 1 }), runner = new BenchRunner(loaded), { executable } = loaded;
    const group = `${name}, ${threads} thread${threads > 1 ? "s" : ""}`;
    Deno.bench({ name: `prompt of 256 tokens, ${group}`, group: "prefill", n: 10, warmup: 2 }, async () => {
      await executable.execute(runner.batch(0, 256));
    });
    Deno.bench({ name: `one token after 256, ${group}`, group: "decode", n: 100, warmup: 10 }, async () => {
      await executable.execute(runner.batch(256, 1));
    });
  }
}

const model = await AutoModelForCausalLM.fromPretrained("embedded", { enablePrefixCaching: false });
const inputIds = Array.from({ length: 16 }, (_, i) => 100 + i);
for (const rows of [1, 8]) {
  Deno.bench({ name: `generate 32 tokens for ${rows} prompt${rows > 1 ? "s" : ""}`, group: "generate", n: 10, warmup: 2 }, async () => {
    await model.generate({ inputIds: Array(rows).fill(inputIds), maxNewTokens: 32, doSample: false, eosTokenId: [] });
  });
}
