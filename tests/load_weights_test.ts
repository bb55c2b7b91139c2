import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Executable } from "../engine/backend.ts";
import type { SmolLM3Config } from "../engine/config.ts";
import { type Format, rowBytes, type StorageType } from "../engine/formats.ts";
import type { Codec } from "../engine/host.ts";
import { MemoryFile } from "../engine/loader/byte_file.ts";
import { type Checkpoint, openCheckpoint } from "../engine/loader/checkpoint.ts";
import { type LoadProgress, loadWeights, readWeights } from "../engine/loader/load_weights.ts";
import { planWeights } from "../engine/loader/plan_weights.ts";
import { resolveSource } from "../engine/loader/source.ts";
import { type StoredTensor, TensorStore } from "../engine/loader/tensor_store.ts";
import { type Program, ProgramBuilder } from "../engine/program.ts";
import { smolLM3 } from "../engine/smollm3.ts";
import { loadHost } from "../wasm/host.ts";
import { fixturePath } from "./load_model.ts";

const native: ReadonlySet<Format> = new Set(["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q4_k", "q6_k"]);

/** A checkpoint of zeros in memory. */
function checkpointOf(tensors: Record<string, [StorageType | "i8", number[]]>, fill: (name: string) => Uint8Array): Checkpoint {
  const stored = Object.entries(tensors).map(([name, [storageType, shape]]): [string, StoredTensor] => {
    const bytes = fill(name);
    return [name, { storageType, shape, byteLength: bytes.length, file: new MemoryFile(name, bytes), offsetBytes: 0 }];
  });
  const store = new TensorStore(new Map(stored), []);
  return {
    name: "test",
    config: {} as SmolLM3Config,
    configJson: {},
    generationConfig: {},
    tokenizer: { config: {}, chatTemplate: null, spec: () => Promise.reject(new Error("none")) },
    tensors: store.tensors,
    readRows: store.readRows.bind(store),
    close: () => store.close(),
  };
}

/** A program of one matrix and one vector. */
function programOf(rows: number, cols: number): Program {
  const builder = new ProgramBuilder("test"), x = builder.buffer("x", cols), out = builder.buffer("out", rows, "outputs");
  const weight = builder.weight("w", cols, { tensor: "w.weight", rows }), norm = builder.vector("n", { tensor: "n.weight", cols });
  builder.step("normLinear", "logits", { x, norm, weight, bias: null, out, eps: 0 });
  return builder.build(out);
}

/** Keeps what is written. */
class Recorder implements Executable {
  readonly writes: { tensor: string; firstRow: number; bytes: Uint8Array }[] = [];
  finished = false;
  writeRows(tensor: string, firstRow: number, bytes: Uint8Array): void {
    this.writes.push({ tensor, firstRow, bytes: bytes.slice() });
  }
  finishWeights(): Promise<void> {
    this.finished = true;
    return Promise.resolve();
  }
  execute = () => Promise.reject(new Error("not here"));
  read = () => Promise.reject(new Error("not here"));
  close(): void {}
}

const finite: Codec = { convert: () => new Uint8Array(0), findNonFinite: () => -1 };

Deno.test("vectors become f32; matrices stay, become the nearest native format, or are quantized", () => {
  const plan = (type: StorageType, cols: number, options: Parameters<typeof planWeights>[3] = {}, formats = native) => {
    const zeros = { "w.weight": new Uint8Array(rowBytes(type, cols) * 4), "n.weight": new Uint8Array(2 * cols) };
    const checkpoint = checkpointOf({ "w.weight": [type, [4, cols]], "n.weight": ["bf16", [cols]] }, (name) => zeros[name as keyof typeof zeros]);
    const planned = planWeights(programOf(4, cols), checkpoint, formats, options);
    assertEquals(planned.get("n.weight"), "f32");
    return planned.get("w.weight");
  };
  assertEquals(plan("bf16", 64), "bf16");
  assertEquals(plan("bf16", 64, { dtype: "float32" }), "bf16");
  assertEquals(plan("f16", 64, { dtype: "float32" }), "f16");
  assertEquals(plan("f32", 64, { dtype: "float32" }), "f32");
  assertEquals(plan("f32", 64, { dtype: "bfloat16" }), "bf16");
  assertEquals(plan("f16", 64, { dtype: "bfloat16" }), "bf16");
  assertEquals(plan("bf16", 64, { dtype: "float16" }), "f16");
  assertEquals(plan("q4_k", 256, { dtype: "float16" }), "q4_k");
  assertEquals(plan("bf16", 64, {}, new Set(["f32"])), "f32");
  assertEquals(plan("q5_0", 64), "q8_0");
  assertEquals(plan("bf16", 64, { quantization: "q4_0" }), "q4_0");
  assertEquals(plan("bf16", 48, { quantization: "q4_0" }), "bf16");
  assertThrows(() => plan("bf16", 64, { quantization: "q5_k" }), RangeError, "Cannot quantize to q5_k: the device multiplies with f32, f16");
});

Deno.test("a missing tensor, another shape and a type that is no weight are refused before loading", () => {
  const norm: [StorageType, number[]] = ["f32", [8]], program = programOf(4, 8);
  const refused = (tensors: Record<string, [StorageType | "i8", number[]]>, message: string) =>
    assertThrows(() => planWeights(program, checkpointOf(tensors, () => new Uint8Array(128)), native), TypeError, message);
  refused({ "n.weight": norm }, "Cannot load w.weight: test does not have it");
  refused({ "n.weight": norm, "w.weight": ["f32", [8, 4]] }, "Cannot load w.weight: expected [4, 8], got [8, 4]");
  refused({ "n.weight": ["f32", [8, 1]], "w.weight": ["f32", [4, 8]] }, "Cannot load n.weight: expected [8], got [8, 1]");
  refused({ "n.weight": norm, "w.weight": ["i8", [4, 8]] }, "Cannot load w.weight: i8 is no number type of weights");
});

Deno.test("rows arrive in aligned chunks, untouched where the format is native, and the executable is finished", async () => {
  const rows = 20_000, cols = 512, bytes = new Uint8Array(rows * cols * 4);
  for (let i = 0; i < bytes.length; i += 4096) bytes[i] = i >> 12;
  const checkpoint = checkpointOf(
    { "w.weight": ["f32", [rows, cols]], "n.weight": ["f32", [cols]] },
    (name) => name === "w.weight" ? bytes : new Uint8Array(cols * 4),
  );
  const program = programOf(rows, cols), executable = new Recorder(), seen: LoadProgress[] = [];
  await loadWeights(readWeights(program, checkpoint, planWeights(program, checkpoint, native)), finite, executable, {
    onProgress: (progress) => seen.push(progress),
  });
  const chunks = executable.writes.filter(({ tensor }) => tensor === "w.weight");
  assert(chunks.length > 1);
  for (const { firstRow, bytes: chunk } of chunks) {
    assert(firstRow % 32 === 0 && chunk.length <= 16 * 2 ** 20);
    assertEquals(chunk, bytes.subarray(firstRow * cols * 4, firstRow * cols * 4 + chunk.length));
  }
  assertEquals(chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0), bytes.length);
  assertEquals(seen.at(-1), { loadedBytes: bytes.length + cols * 4, totalBytes: bytes.length + cols * 4, tensor: "n.weight" });
  assert(executable.finished);
});

Deno.test("what is not native is converted, and a quantized embedding is the codec's", async () => {
  const checkpoint = await openCheckpoint(await resolveSource("embedded")), program = smolLM3(checkpoint.config), { codec } = await loadHost();
  const executable = new Recorder(), name = "model.embed_tokens.weight", cols = checkpoint.config.hiddenSize;
  await loadWeights(readWeights(program, checkpoint, planWeights(program, checkpoint, native, { quantization: "q8_0" })), codec, executable);
  const written = executable.writes.filter(({ tensor }) => tensor === name);
  const expected = codec.convert(await checkpoint.readRows(name, 0, checkpoint.config.vocabSize), "bf16", "q8_0", cols);
  assertEquals(written.map(({ bytes }) => bytes.length), [expected.length]);
  assertEquals(written[0].bytes, new Uint8Array(expected));
  const norm = executable.writes.find(({ tensor }) => tensor === "model.norm.weight")!;
  assertEquals(norm.bytes, new Uint8Array(codec.convert(await checkpoint.readRows("model.norm.weight", 0, 1), "bf16", "f32", cols)));
  checkpoint.close();
  checkpoint.close();
});

Deno.test("a value that is not finite is named by tensor, row and column", async () => {
  const weights = new Float32Array(4 * 8), { codec } = await loadHost();
  weights[19] = NaN;
  const checkpoint = checkpointOf(
    { "w.weight": ["f32", [4, 8]], "n.weight": ["f32", [8]] },
    (name) => name === "w.weight" ? new Uint8Array(weights.buffer) : new Uint8Array(32),
  );
  const program = programOf(4, 8), plan = planWeights(program, checkpoint, native);
  await assertRejects(
    () => loadWeights(readWeights(program, checkpoint, plan), codec, new Recorder()),
    RangeError,
    "Cannot load w.weight: the value in row 2, column 3 is not finite",
  );
});

Deno.test("an abort stops loading with its reason", async () => {
  const checkpoint = await openCheckpoint(await resolveSource("embedded")), program = smolLM3(checkpoint.config);
  const plan = planWeights(program, checkpoint, native), executable = new Recorder(), controller = new AbortController(), reason = new RangeError("enough");
  const onProgress = ({ loadedBytes, totalBytes }: LoadProgress) => void (loadedBytes > totalBytes / 2 && controller.abort(reason));
  await assertRejects(
    () => loadWeights(readWeights(program, checkpoint, plan), finite, executable, { onProgress, signal: controller.signal }),
    RangeError,
    "enough",
  );
  assertEquals(executable.finished, false);
  checkpoint.close();
});

Deno.test("the untied and the tied head, and Q and K of a GGUF file, are read by their names in Transformers", async () => {
  const untied = await openCheckpoint(await resolveSource(fixturePath("tiny_models/untied")));
  assertEquals(planWeights(smolLM3(untied.config), untied, native).get("lm_head.weight"), "f16");
  untied.close();
  const gguf = await openCheckpoint(await resolveSource(fixturePath("gguf/smollm3-tiny-Q4_K_M.gguf")));
  const plan = planWeights(smolLM3(gguf.config), gguf, native);
  assertEquals([plan.has("lm_head.weight"), plan.get("model.layers.0.self_attn.q_proj.weight"), plan.get("model.norm.weight")], [false, "q4_k", "f32"]);
  gguf.close();
});
