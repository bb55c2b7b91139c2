/**
 * Checkpoints in Transformers format: config.json, safetensors (one file, or shards with an index), generation_config.json.
 *
 * @module
 */
import { parseConfig } from "../config.ts";
import { describe, isJsonObject, type JsonObject, parseJsonObject } from "../json_fields.ts";
import { readFourBitConfig, unpackFourBit } from "./bitsandbytes.ts";
import type { ByteFile } from "./byte_file.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { FileStore } from "./file_store.ts";
import { readSafetensors } from "./safetensors.ts";
import type { ModelSource } from "./source.ts";
import { type StoredTensor, TensorStore } from "./tensor_store.ts";
import { openTokenizerFiles } from "./tokenizer_files.ts";

const single = "model.safetensors", index = "model.safetensors.index.json";

/** Opens a folder in Transformers format: see {@link openCheckpoint}. */
export async function openTransformersCheckpoint(source: ModelSource & { kind: "transformers" }): Promise<Checkpoint> {
  const { files, name } = source;
  const [configJson, generationConfig, tokenizer] = await Promise.all([
    readConfigJson(files),
    readJson(files, "generation_config.json"),
    openTokenizerFiles(source),
  ]);
  const config = parseConfig(configJson, files.path("config.json"));
  const fourBit = readFourBitConfig(configJson, files.path("config.json"));
  const store = await openShards(files, (tensors) => fourBit === null ? tensors : unpackFourBit(tensors, fourBit));
  return {
    name,
    config,
    configJson,
    generationConfig: generationConfig ?? {},
    tokenizer,
    tensors: store.tensors,
    readRows: store.readRows.bind(store),
    close: () => store.close(),
  };
}

/** `config.json` of a folder. */
export async function readConfigJson(files: FileStore): Promise<JsonObject> {
  const json = await readJson(files, "config.json");
  if (json === null) throw new Deno.errors.NotFound(`Cannot open ${files.path("config.json")}: there is no such file`);
  return json;
}

async function readJson(files: FileStore, name: string): Promise<JsonObject | null> {
  const text = await files.readText(name);
  return text === null ? null : parseJsonObject(text, files.path(name));
}

type Tensors = ReadonlyMap<string, StoredTensor>;

/** Opens the one file, or all shards that the index names. */
async function openShards(files: FileStore, unpack: (tensors: Tensors) => Tensors): Promise<TensorStore> {
  const opened: ByteFile[] = [];
  const open = async (name: string, why: string) => {
    const file = await openShard(files, name, why);
    opened.push(file);
    return readSafetensors(file);
  };
  try {
    const weightMap = await readIndex(files), tensors = new Map<string, StoredTensor>();
    if (weightMap === null) {
      const found = await open(single, "weights in other formats, such as pytorch_model.bin, are to be saved as safetensors first");
      for (const [name, tensor] of found) tensors.set(causalName(name), tensor);
      return new TensorStore(unpack(tensors), opened);
    }
    const shards = new Map<string, Map<string, StoredTensor>>();
    for (const shard of new Set(weightMap.values())) shards.set(shard, await open(shard, `${index} names it`));
    for (const [name, shard] of weightMap) {
      const tensor = shards.get(shard)?.get(name);
      if (tensor === undefined) throw new TypeError(`Cannot read ${files.path(index)}: ${shard} has no tensor ${name}`);
      tensors.set(causalName(name), tensor);
    }
    return new TensorStore(unpack(tensors), opened);
  } catch (error) {
    for (const file of opened) file.close();
    throw error;
  }
}

async function openShard(files: FileStore, name: string, why: string): Promise<ByteFile> {
  try {
    return await files.open(name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new Deno.errors.NotFound(`Cannot open ${files.path(name)}: there is no such file; ${why}`);
    throw error;
  }
}

/** Shard of each tensor, or null when the weights are in one file. */
async function readIndex(files: FileStore): Promise<Map<string, string> | null> {
  const json = await readJson(files, index);
  if (json === null) return null;
  const { weight_map: weightMap } = json, file = files.path(index);
  if (!isJsonObject(weightMap)) throw new TypeError(`Cannot read ${file}: weight_map must be an object, got ${describe(weightMap)}`);
  return new Map(
    Object.entries(weightMap).map(([tensor, shard]) => {
      // The name comes from a file: it must not lead out of the folder.
      if (typeof shard === "string" && /^[^/\\:]+\.safetensors$/.test(shard)) return [tensor, shard];
      throw new TypeError(`Cannot read ${file}: weight_map of ${tensor} must be the name of a .safetensors file, got ${describe(shard)}`);
    }),
  );
}

/** Checkpoints of the bare model have no prefix, those for question answering another one. */
function causalName(name: string): string {
  const inner = name.replace(/^transformer\./, "");
  return /^(embed_tokens|layers|norm)\./.test(inner) ? `model.${inner}` : name;
}
