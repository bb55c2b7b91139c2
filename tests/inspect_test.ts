import { assertEquals } from "@std/assert";
import type { Format } from "../engine/formats.ts";
import { openCheckpoint } from "../engine/loader/checkpoint.ts";
import { inspectCheckpoint, type InspectOptions } from "../engine/loader/inspect.ts";
import { resolveSource } from "../engine/loader/source.ts";
import { smolLM3 } from "../engine/smollm3.ts";
import { fixturePath } from "./load_model.ts";

const native: ReadonlySet<Format> = new Set(["f32", "bf16", "q8_0", "q4_k", "q6_k"]);
async function inspect(source: string, options?: InspectOptions) {
  const checkpoint = await openCheckpoint(await resolveSource(source));
  const inspection = inspectCheckpoint(smolLM3(checkpoint.config), checkpoint, native, options);
  checkpoint.close();
  return inspection;
}

Deno.test("the embedded model: parameters, bytes and memory per context", async () => {
  const found = await inspect("embedded");
  // 17 norms of 256 values become f32; everything else stays bf16.
  const norms = 17 * 256;
  assertEquals([found.parameters, found.fileBytes, found.weightBytes], [6_951_168, 2 * 6_951_168, 2 * 6_951_168 + 2 * norms]);
  assertEquals(found.groups.map(({ storageType, format, tensors }) => [storageType, format, tensors]), [["bf16", "bf16", 57], ["bf16", "f32", 17]]);
  // 8 layers, K and V of 2 heads of 64 values, 2 bytes each.
  assertEquals(found.cacheBytesPerToken, 8 * 2 * 2 * 64 * 2);
  assertEquals(found.contexts, [{ tokens: 2048, cacheBytes: 2048 * 4096, totalBytes: found.weightBytes + 2048 * 4096 }]);
  const quantized = await inspect("embedded", { quantization: "q8_0", cacheType: "f32" });
  assertEquals([quantized.weightBytes, quantized.cacheBytesPerToken], [(6_951_168 - norms) / 32 * 34 + 4 * norms, 2 * 4096]);
});

Deno.test("what each stored type becomes, and what the model does not use", async () => {
  const mixed = await inspect(fixturePath("gguf/mixed_legacy.gguf"));
  const formats = new Map(mixed.groups.filter(({ storageType }) => storageType !== "f32").map(({ storageType, format }) => [storageType, format]));
  assertEquals([formats.get("q8_0"), formats.get("bf16"), formats.get("q5_0"), formats.get("f16")], ["q8_0", "bf16", "q8_0", "f32"]);
  const classifier = await inspect(fixturePath("tiny_models/token_classification"));
  assertEquals(classifier.groups.filter(({ format }) => format === null).map(({ tensors, memoryBytes }) => [tensors, memoryBytes]), [[2, 0]]);
});
