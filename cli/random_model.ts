/**
 * Models of a known shape with random weights: for speed and memory, no checkpoint needed.
 *
 * @module
 */
import { onDevice } from "../api/device.ts";
import { type CompiledModel, compileModel, type LoadOptions } from "../api/load_model.ts";
import { type Executable, rowAlignment } from "../engine/backend.ts";
import { parseConfig } from "../engine/config.ts";
import { type Format, isFourBit, rowBytes, storageTypes } from "../engine/formats.ts";
import { programTensors } from "../engine/loader/plan_weights.ts";
import { smolLM3 } from "../engine/smollm3.ts";

/** Shapes by name, as `config.json` has them. */
const shapes: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "smollm3-3b": {
    model_type: "smollm3",
    vocab_size: 128256,
    hidden_size: 2048,
    intermediate_size: 11008,
    num_hidden_layers: 36,
    num_attention_heads: 16,
    num_key_value_heads: 4,
    max_position_embeddings: 65536,
    rope_theta: 5e6,
  },
  "smollm2-135m": {
    model_type: "llama",
    vocab_size: 49152,
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    max_position_embeddings: 8192,
    rope_theta: 1e5,
    tie_word_embeddings: true,
  },
  "smollm3-tiny": {
    model_type: "smollm3",
    vocab_size: 4096,
    hidden_size: 256,
    intermediate_size: 704,
    num_hidden_layers: 8,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    max_position_embeddings: 2048,
    rope_theta: 1e5,
  },
};

/** Names of the shapes. */
export const shapeNames = Object.keys(shapes);

/** Formats that random weights can be made in. */
export type RandomFormat = "f32" | "f16" | "bf16" | "q8_0" | "q4_0" | "nf4_bf16" | "fp4_bf16";

/** Most bytes that are written at once. */
const chunkBytes = 4 * 2 ** 20;
/** Blocks by which the start of a chunk in the random bytes varies. */
const startBlocks = 4096;

/**
 * @param shape One of {@link shapeNames}.
 * @param format Format of all matrices.
 */
export async function loadRandomModel(shape: string, format: RandomFormat, options: LoadOptions): Promise<CompiledModel & { deviceReason: string }> {
  const config = parseConfig(shapes[shape], shape), program = smolLM3(config), tensors = programTensors(program);
  const formats = new Map(tensors.map(({ name, isVector }): [string, Format] => [name, isVector ? "f32" : format]));
  const { result: compiled, reason: deviceReason } = await onDevice(
    options.device ?? "auto",
    options.backend,
    (backend) => compileModel(backend, config, program, formats, options),
  );
  try {
    await writeRandomWeights(compiled.executable, tensors, format, options.signal);
    return { ...compiled, deviceReason };
  } catch (error) {
    compiled.executable.close();
    throw error;
  }
}

/** @throws The signal's reason when it is aborted. */
async function writeRandomWeights(
  executable: Executable,
  tensors: ReturnType<typeof programTensors>,
  format: RandomFormat,
  signal: AbortSignal | undefined,
): Promise<void> {
  const [, blockBytes] = storageTypes[format], widest = Math.max(...tensors.map(({ cols }) => rowBytes(format, cols)));
  const bytes = randomBytes(format, chunkBytes + rowAlignment * widest + startBlocks * blockBytes);
  for (const [index, { name, isVector, rows, cols }] of tensors.entries()) {
    if (isVector) {
      executable.writeRows(name, 0, new Uint8Array(new Float32Array(cols).fill(1).buffer));
      continue;
    }
    const stride = rowBytes(format, cols), chunkRows = Math.max(1, Math.floor(chunkBytes / stride / rowAlignment)) * rowAlignment;
    for (let row = 0; row < rows; row += chunkRows) {
      const start = (index * 31 + row) % startBlocks * blockBytes;
      executable.writeRows(name, row, bytes.subarray(start, start + Math.min(chunkRows, rows - row) * stride));
    }
    await new Promise((resolve) => setTimeout(resolve)); // An interrupt gets its turn.
    signal?.throwIfAborted();
  }
  await executable.finishWeights();
}

/** Whole blocks of random values up to about 0.03, none of them an infinity or NaN. */
function randomBytes(format: RandomFormat, length: number): Uint8Array {
  const [, blockBytes] = storageTypes[format], words = new Uint32Array(Math.ceil(length / blockBytes) * blockBytes / 4 + 1);
  let state = 0x9e3779b9;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  const bytes = new Uint8Array(words.buffer), halves = new Uint16Array(words.buffer);
  // Sign and mantissa stay random; the exponent is 2^-6.
  if (format === "f32") words.forEach((word, i) => words[i] = word & 0x807fffff | 121 << 23);
  if (format === "bf16") halves.forEach((half, i) => halves[i] = half & 0x807f | 121 << 7);
  if (format === "f16") halves.forEach((half, i) => halves[i] = half & 0x83ff | 9 << 10);
  // A block's scale in float16: 2^-12 times -128..127, 2^-8 times -8..7.
  if (format === "q8_0") { for (let at = 1; at < bytes.length; at += blockBytes) bytes[at - 1] = 0, bytes[at] = 0x0c; }
  if (format === "q4_0") { for (let at = 1; at < bytes.length; at += blockBytes) bytes[at - 1] = 0, bytes[at] = 0x1c; }
  // Its absmax in float32: 2^-5.
  if (isFourBit(format)) { for (let word = 0; word < words.length; word += blockBytes / 4) words[word] = 122 << 23; }
  return bytes;
}
