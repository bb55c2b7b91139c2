/**
 * What the persistent walk makes of weights: rows of the embedding table and dot products of both kinds of row groups, beside what was packed. These parts of its source
 * wait for nobody, so that a software adapter runs them too.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { CompileOptions } from "../engine/backend.ts";
import { isFourBit } from "../engine/formats.ts";
import type { Weight } from "../engine/program.ts";
import { smolLM3 } from "../engine/smollm3.ts";
import { type Gpu, requestGpu } from "../gpu/device.ts";
import { ProgramMemory } from "../gpu/memory.ts";
import { walkFormats } from "../gpu/persistent_plan.ts";
import { Readback } from "../gpu/readback.ts";
import type { GpuFormat } from "../gpu/weights.ts";
import { gpuTest, hasAdapter } from "./gpu_test_case.ts";
import { random, randomConfig, randomWeights } from "./random_model.ts";

const gpu: Gpu | undefined = hasAdapter ? await requestGpu() : undefined;
const hidden = 512, intermediate = 768, vocab = 96;
const program = smolLM3(
  randomConfig({ hiddenSize: hidden, intermediateSize: intermediate, vocabSize: vocab, numHiddenLayers: 1, numAttentionHeads: 2, headDim: 128 }),
);

/** Values as the walk stages them, 16 a slot. */
function staged(meets: "int8" | "wide", count: number) {
  const next = random(7), values = new Float32Array(count), units = new Uint8Array(count * (meets === "int8" ? 1 : 2)), scales = new Float32Array(count / 8);
  for (let slot = 0; slot < count / 16; slot++) {
    const scale = 0.001 + 0.01 * next();
    let sum = 0;
    for (let i = 16 * slot; i < 16 * slot + 16; i++) {
      const q = Math.floor(next() * 255) - 127;
      sum += q;
      values[i] = meets === "int8" ? q * scale : q / 128;
      if (meets === "int8") units[i] = q;
      else units.set(new Uint8Array(Float32Array.of(values[i]).buffer, 2, 2), 2 * i); // 8 bits: bf16 holds them
    }
    scales.set([scale, scale * sum], 2 * slot);
  }
  return { values, units, scales };
}

/** How the scales of activations come into workgroup memory. */
const bringScales = {
  int8: "fn bring_scales() { for (var i = lane; i < arrayLength(&x_scales); i += 32u) { staged_scales[i] = x_scales[i]; } }",
  wide: "fn bring_scales() { _ = x_scales[0]; }",
};

/** Workgroup g: rows 32 g .. of the table; then 32-row groups of the table times x, then 16-row groups of down times x. */
const main = `
@group(0) @binding(10) var<storage, read> weights_0: array<vec4<u32>>;
@group(0) @binding(11) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(12) var<storage, read> x_scales: array<vec2<f32>>;
@group(0) @binding(13) var<storage, read_write> results: array<f32>;
override table_at: u32;
override table_words: u32;
override down_at: u32;
override down_words: u32;
override table_groups: u32;
@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  lane = index;
  for (var i = lane; i < arrayLength(&x); i += 32u) { staged[i] = x[i]; }
  thread = index;
  bring_scales();
  stage_code();
  workgroupBarrier();
  let g = group.x;
  let dots = table_groups * 32u * hidden;
  if (g < table_groups) {
    for (var k = 0u; k < hidden; k++) { results[(32u * g + lane) * hidden + k] = embedded_t(table_at, table_words, 32u * g + lane, k, hidden / 32u); }
  } else if (g < 2u * table_groups) {
    let pairs = hidden / 64u;
    for (var p = 0u; p < pairs; p++) { results[dots + 32u * (g - table_groups) + lane] += dot_pair_t(pair_t(table_at, table_words, g - table_groups, p, pairs)); }
    results[dots + 32u * (g - table_groups) + lane] += dot_pair_t(pair_t(table_at, table_words, g - table_groups, pairs, pairs));
  } else {
    let pairs = intermediate / 64u;
    for (var p = 0u; p < pairs; p++) {
      results[dots + 32u * (g - table_groups) + lane] += dot_single_t(single_t(down_at, down_words, g - 2u * table_groups, p, pairs));
    }
  }
}`;

for (const [format, { activations, parts }] of Object.entries(walkFormats)) {
  gpuTest(`gpu walk: rows and products of ${format}`, async () => {
    const { device, pipelines } = gpu!, made = randomWeights(program, () => format as GpuFormat), groups = vocab / 32;
    const options: CompileOptions = {
      ...{ maxRows: 16, maxOutputs: 1, maxSequences: 1, maxContext: 32, blockSize: 16, blocks: 2, cacheType: "f16" },
      ...{ activations: "auto", formats: made.formats, threads: 1 },
    };
    const memory = new ProgramMemory(gpu!, program, options);
    await memory.allocate();
    await memory.weights.prepare();
    for (const [tensor, bytes] of made.bytes) memory.weights.write(tensor, 0, bytes);
    await memory.weights.finish();

    const table = program.weights[0], down = program.steps.at(-3)!.binds[1] as Weight;
    const [{ chunks: [tableChunk] }, { chunks: [downChunk] }] = [table, down].map((weight) => memory.weights.part(weight.parts[0].tensor));
    assertEquals(tableChunk.data().buffer, downChunk.data().buffer);
    const x = staged(activations, intermediate), count = vocab * hidden + vocab + hidden * 2;
    const buffer = (bytes: number) => device.createBuffer({ size: bytes, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC });
    const filled = (data: Uint8Array | Float32Array) => {
      const made = buffer(data.byteLength);
      device.queue.writeBuffer(made, 0, data as Uint8Array<ArrayBuffer>);
      return made;
    };
    const own = [filled(x.units), filled(x.scales), buffer(count * 4)], unused = Array.from({ length: 8 }, () => buffer(64));
    const kernel = {
      name: "walk formats",
      parts: ["persistent", `persistent_${activations}`, ...(isFourBit(format as GpuFormat) ? [] : ["persistent_code_none"]), ...parts, "persistent_pairs"],
      access: "wrwwwrrrwrrrrw",
      transform: (files: ReadonlyMap<string, string>) =>
        [...files.values(), main, bringScales[activations]].join("\n").replaceAll("weights_W", "weights_0").replace(/\b(\w+)_W\b/g, "$1_t"),
      constants: {
        ...{
          workgroups: 132,
          partials: 3072,
          hidden,
          intermediate,
          heads: 2,
          kv_heads: 2,
          eps: 1e-6,
          block_shift: 4,
          value_plane: 0,
          last_layer: 0,
          first_norm_at: 0,
          copies: 1,
        },
        ...{ table_at: tableChunk.data().offset / 16, table_words: tableChunk.scales().offset / 4, table_groups: groups },
        ...{ down_at: downChunk.data().offset / 16, down_words: downChunk.scales().offset / 4 },
      },
    };
    const { pipeline, layout } = await pipelines.get(kernel), data = tableChunk.data().buffer, words = memory.weights.scaleBuffers[0] ?? unused[7];
    const resources = [unused[0], words, ...unused.slice(1, 4), ...unused.slice(4, 7), buffer(64), buffer(64), data, ...own];
    const group = device.createBindGroup({ layout, entries: resources.map((buffer, binding) => ({ binding, resource: { buffer } })) });
    const readback = await Readback.create(device, count * 4), encoder = device.createCommandEncoder(), pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(2 * groups + hidden / 16);
    pass.end();
    readback.record(encoder, own[2], 0, count * 4);
    device.queue.submit([encoder.finish()]);
    const got = new Float32Array(await readback.read(count * 4)), tableValues = made.values.get(table)!, downValues = made.values.get(down)!;

    const near = (value: number, want: number, size: number, what: string) =>
      assert(Math.abs(value - want) <= 1e-5 * size, `${what}: ${value} instead of ${want}`);
    for (let i = 0; i < vocab * hidden; i++) {
      near(got[i], tableValues[i], Math.abs(tableValues[i]) + 1e-3, `row ${Math.floor(i / hidden)}, value ${i % hidden}`);
    }
    const product = (values: Float32Array, row: number, cols: number) => {
      let sum = 0, size = 0;
      for (let k = 0; k < cols; k++) {
        const term = values[row * cols + k] * x.values[k];
        sum += term;
        size += Math.abs(term);
      }
      return { sum, size };
    };
    for (let row = 0; row < vocab; row++) {
      const { sum, size } = product(tableValues, row, hidden);
      near(got[vocab * hidden + row], sum, size, `product of row ${row}`);
    }
    for (let row = 0; row < hidden; row++) {
      const at = vocab * hidden + vocab + 32 * Math.floor(row / 16) + row % 16, { sum, size } = product(downValues, row, intermediate);
      near(got[at] + got[at + 16], sum, size, `product of row ${row} in a group of 16`);
    }
    memory.destroy();
    readback.destroy();
    for (const buffer of [...own, ...unused]) buffer.destroy();
  });
}
