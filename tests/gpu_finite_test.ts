/** Weights that are not finite are found on the GPU while they are staged, at the places where the host finds them. */
import { assertEquals, assertRejects } from "@std/assert";
import { type Format, rowBytes, storageTypes } from "../engine/formats.ts";
import { smolLM3 } from "../engine/smollm3.ts";
import { createGpuBackend } from "../gpu/backend.ts";
import { layouts } from "../gpu/weights.ts";
import { loadHost } from "../wasm/host.ts";
import { gpuTest } from "./gpu_test_case.ts";
import { randomConfig } from "./random_model.ts";

const config = randomConfig({ numHiddenLayers: 1, hiddenSize: 256, intermediateSize: 256, headDim: 64, vocabSize: 99 }), program = smolLM3(config);
const name = "model.layers.0.self_attn.k_proj.weight", rows = config.numKeyValueHeads * config.headDim, cols = config.hiddenSize;

for (const format of Object.keys(layouts) as Format[]) {
  gpuTest(`gpu: a value that is not finite is found: ${format}`, async () => {
    const backend = await createGpuBackend(), { codec } = await loadHost(), [, blockBytes] = storageTypes[format], stride = rowBytes(format, cols);
    const formats = new Map(
      program.weights.flatMap((weight) => weight.parts.map(({ tensor }): [string, Format] => [tensor, weight.rows === 1 ? "f32" : format])),
    );
    const sizes = { maxRows: 16, maxOutputs: 16, maxSequences: 2, maxContext: 64, blockSize: 16, blocks: 7, threads: 1 };
    /** Loads zeros, but for two bytes of one weight; what the GPU and the host say about them. */
    const load = async (at: number, bits: number) => {
      const bytes = new Uint8Array(rows * stride), executable = await backend.compile(program, { ...sizes, cacheType: "f32", activations: "float32", formats });
      new DataView(bytes.buffer).setUint16(at, bits, true);
      for (const weight of program.weights) {
        for (const part of weight.parts) {
          const [count, each] = weight.rows === 1 ? [1, 4 * part.rows] : [part.rows, stride],
            written = part.tensor === name ? bytes : new Uint8Array(count * each);
          // In two pieces, so that the second one's rows do not begin at 0.
          const first = Math.min(count, 32) * each;
          executable.writeRows(part.tensor, 0, written.subarray(0, first));
          if (first < written.length) executable.writeRows(part.tensor, 32, written.subarray(first));
        }
      }
      const found = codec.findNonFinite(bytes, format, cols), place = `the value in row ${Math.floor(found / cols)}, column ${found % cols} is not finite`;
      try {
        if (found < 0) await executable.finishWeights();
        else await assertRejects(() => executable.finishWeights(), RangeError, `Cannot load ${name}: ${place}`);
      } finally {
        executable.close();
      }
      return found;
    };
    // The upper two bytes of every number of a block somewhere, each one all ones; then as large as bf16 and f16 do and do not take.
    let count = 0;
    for (let byte = 0; byte < blockBytes; byte += 2) {
      if (await load(70 * stride + blockBytes * Math.floor(stride / blockBytes / 2) + byte, 0xffff) >= 0) count++;
      if (blockBytes > 40 && byte === 4) byte = blockBytes - 6; // numbers are at the ends
    }
    assertEquals(count > 0, true);
    if (blockBytes === 36) { for (const bits of [0x4780, 0x477f, 0x7f80, 0x7f7f]) await load(70 * stride + 2, bits); }
  });
}
