/**
 * Where the time of a token goes in the persistent walk: there is no clock in a shader, so each kind of work is left out in turn, and what the token then takes
 * less is what it cost. Work overlaps with waiting, so the parts do not add up to the whole. What the walk computes without a part of its work means nothing.
 *
 * `deno run -A bench/gpu/walk_phases.ts [--format q4_0,q8_0,bf16] [--context 512] [--layers 36] [--bandwidth 3350]`
 *
 * @module
 */
import { parseArgs } from "node:util";
import type { CompileOptions } from "../../engine/backend.ts";
import { type Format, rowBytes } from "../../engine/formats.ts";
import { smolLM3 } from "../../engine/smollm3.ts";
import { requestGpu } from "../../gpu/device.ts";
import { DeviceCalls } from "../../gpu/device_calls.ts";
import { shaders } from "../../gpu/generated/shaders.gen.ts";
import { ProgramMemory } from "../../gpu/memory.ts";
import { PersistentDecode } from "../../gpu/persistent_decode.ts";
import { Batches, formatOf, formatsOf, fullShape, writeRandom } from "./model.ts";

const { values: args } = parseArgs({
  options: {
    format: { type: "string", default: "q4_0,q8_0,bf16" },
    context: { type: "string", default: "512" },
    layers: { type: "string", default: "36" },
    /** GB/s of the device's memory. */
    bandwidth: { type: "string", default: "3350" },
  },
});

/** A change of the source: in which file, what is replaced by what. */
type Edit = readonly [file: string, what: string, by: string];
const halfSteps = "let steps = (pairs + half_ahead_W * slices - 1u) / (half_ahead_W * slices);";
const withoutHalf = (
  slot: string,
): Edit => ["persistent_sweep", halfSteps, `${halfSteps.replace("steps", "all")} let steps = select(all, 0u, slot == ${slot}());`];
const leftOut: Record<string, readonly Edit[]> = {
  "q, k, v": [["persistent_layer", "false, wg, qk_rounds, h_pairs", "false, wg, 0u, h_pairs"], [
    "persistent_layer",
    "v_own, v_rounds, h_pairs",
    "v_own, 0u, h_pairs",
  ]],
  "keys and values": ["persistent_attention", "persistent_attention_far"].map((file): Edit => [file, "t < turns", "t < 0u * turns"]),
  "o": [withoutHalf("attended_slot")],
  "gate, up": [["persistent_layer", "true, wg, 2u * f_rounds, h_pairs", "true, wg, 0u, h_pairs"]],
  "down": [withoutHalf("gated_slot")],
  "head": [["persistent_head", "let total = share((vocab + 31u) / 32u, wg) * steps;", "let total = 0u;"]],
};
const variants: Record<string, readonly Edit[]> = {
  "everything": [],
  ...leftOut,
  "attention": [[
    "persistent_layer",
    "attend_L(info.cache_at, info.window);",
    "if (slice == 0u && wg < heads * head_dim / 16u) { emit(f32(lane), 0.0, attended_slot() + wg, lane < 16u); }",
  ]],
  "anything but waiting": [...["q, k, v", "keys and values", "gate, up", "head"].flatMap((name) => leftOut[name]), [
    "persistent_sweep",
    halfSteps,
    "let steps = 0u;",
  ]],
};

const layers = Number(args.layers), context = Number(args.context), tokens = 64, blockSize = 16, blocks = Math.ceil((context + tokens) / blockSize);
const config = fullShape(layers), { hiddenSize, intermediateSize, vocabSize, numAttentionHeads: heads, numKeyValueHeads: kvHeads, headDim } = config;
const program = smolLM3(config), batches = new Batches(config, blockSize), blockTable = Uint32Array.from({ length: blocks }, (_, i) => i);
const greedy = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0n, position: 0 };

const gpu = await requestGpu(), sources = shaders as Record<string, string>;
const request = { batch: batches.next([1], context, blockTable), sampling: [greedy], steps: tokens, rope: batches.rotations(context + 1, tokens - 1) };
console.log(`${gpu.name}, context ${context}, ${tokens} tokens a submit; medians of 12 submits`);
for (const format of args.format.split(",") as Format[]) {
  const options: CompileOptions = {
    ...{ maxRows: 64, maxOutputs: 1, maxSequences: 1, maxContext: blocks * blockSize, blockSize, blocks },
    ...{ cacheType: "f16", activations: "int8", formats: formatsOf(program, format), threads: 1 },
  };
  const memory = new ProgramMemory(gpu, program, options);
  await memory.allocate();
  await memory.weights.prepare();
  writeRandom(program, memory.weights.write.bind(memory.weights), format);
  await memory.weights.finish();

  const walks: { name: string; walk: PersistentDecode; times: number[] }[] = [];
  for (const [name, edits] of Object.entries(variants)) {
    const kept = { ...sources };
    for (const [file, what, by] of edits) {
      if (!sources[file].includes(what)) throw new Error(`${file}.wgsl no longer contains: ${what}`);
      sources[file] = sources[file].replaceAll(what, by);
    }
    const walk = PersistentDecode.create(gpu, new DeviceCalls(gpu), program, options, memory);
    if (typeof walk === "string") throw new Error(`There is no walk: ${walk}`);
    await walk.prepare(request.batch, request.rope); // compiles, while the source is this one
    Object.assign(sources, kept);
    walks.push({ name, walk, times: [] });
  }
  for (let run = 0; run < 14; run++) {
    for (const { walk, times } of walks) {
      const started = performance.now();
      await walk.decode(request);
      times.push((performance.now() - started) / tokens * 1000);
    }
  }

  const matrix = (rows: number, cols: number, times = layers) => times * rows * rowBytes(format, cols);
  const bytes: Record<string, number> = {
    "q, k, v": matrix((heads + 2 * kvHeads) * headDim, hiddenSize),
    "keys and values": layers * 2 * context * kvHeads * headDim * 2,
    "o": matrix(hiddenSize, heads * headDim),
    "gate, up": matrix(2 * intermediateSize, hiddenSize),
    "down": matrix(hiddenSize, intermediateSize),
    "head": vocabSize * rowBytes(formatOf(program.weights[0], format), hiddenSize),
  };
  bytes["attention"] = bytes["keys and values"];
  bytes["everything"] = Object.keys(leftOut).reduce((sum, part) => sum + bytes[part], 0);
  const median = ({ times }: { times: number[] }) => times.slice(2).sort((a, b) => a - b)[6], whole = median(walks[0]);
  console.log(`\n${format.padEnd(28)}  us a token   it costs        MB   at least   of the bandwidth`);
  for (const { name, times } of walks) {
    const time = median({ times }), cost = name === "everything" ? time : whole - time, moved = bytes[name] ?? 0, floor = moved / Number(args.bandwidth) / 1000;
    const figures = [time.toFixed(0).padStart(10), cost.toFixed(0).padStart(10), (moved / 1e6).toFixed(1).padStart(9), floor.toFixed(0).padStart(10)];
    console.log(
      `${(name === "everything" ? name : `without ${name}`).padEnd(28)}  ${figures.join(" ")} ${`${(100 * floor / cost).toFixed(0)} %`.padStart(10)}`,
    );
  }
  for (const { walk } of walks) walk.destroy();
  memory.destroy();
}
Deno.exit(0);
