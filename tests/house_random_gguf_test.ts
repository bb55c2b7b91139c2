import { assert, assertEquals } from "@std/assert";
import { randomTypes, writeRandomGguf } from "../_tools/random_gguf.ts";
import { openCheckpoint } from "../engine/loader/checkpoint.ts";
import { resolveSource } from "../engine/loader/source.ts";
import { loadHost } from "../wasm/host.ts";

Deno.test("a random GGUF is a model: shapes, vocabulary and weights of the size that training gives", async () => {
  const shape = { numHiddenLayers: 2, hiddenSize: 64, intermediateSize: 96, numAttentionHeads: 2, numKeyValueHeads: 1, vocabSize: 1024 };
  const path = await Deno.makeTempFile({ suffix: ".gguf" });
  try {
    for (const type of randomTypes) {
      await writeRandomGguf(path, { type, ...shape });
      const checkpoint = await openCheckpoint(await resolveSource(path));
      try {
        const { config, tensors } = checkpoint;
        assertEquals(Object.fromEntries(Object.keys(shape).map((key) => [key, config[key as keyof typeof shape]])), shape);
        assertEquals([config.modelType, config.tieWordEmbeddings, tensors.size], ["smollm3", true, 2 * 9 + 2]);

        const name = "model.layers.1.mlp.down_proj.weight";
        assertEquals([tensors.get(name)!.storageType, ...tensors.get(name)!.shape], [type, 64, 96]);
        const weights = new Float32Array((await loadHost()).codec.convert(await checkpoint.readRows(name, 0, 64), type, "f32", 96).slice().buffer);
        const deviation = Math.sqrt(weights.reduce((sum, value) => sum + value * value, 0) / weights.length);
        assert(deviation > 0.01 && deviation < 0.03, `standard deviation ${deviation}`);

        const { tokens, merges } = await checkpoint.tokenizer.spec();
        assertEquals([tokens.length, new Set(tokens).size, merges.length], [1024, 1024, 1024 - 256 - 256]);
      } finally {
        checkpoint.close();
      }
    }
  } finally {
    await Deno.remove(path);
  }
});
