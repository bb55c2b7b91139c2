/**
 * From the one string that names a model to the place of its files.
 *
 * @module
 */
import { basename, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { type FileStore, LocalFolder, RemoteFolder } from "./file_store.ts";
import { findSnapshot, hubCacheFolder, type HubId, parseHubId } from "./hub_cache.ts";

/** Where a model's files are: a folder in Transformers format, or a GGUF file (the first one where it is split). */
export type ModelSource =
  | { readonly kind: "transformers"; readonly name: string; readonly files: FileStore }
  | { readonly kind: "gguf"; readonly name: string; readonly files: FileStore; readonly file: string };

/** Options of {@link resolveSource}. */
export interface SourceOptions {
  /** Revision of a hub id that names none; default `main`. */
  readonly revision?: string;
  /** Folder in the layout of the Hugging Face cache; default: the one that `HF_HUB_CACHE`, `HF_HOME` or `XDG_CACHE_HOME` name. */
  readonly cacheDir?: string;
}

const accepted = "a model is a folder in Transformers format, a .gguf file, a hub id owner/name or the word embedded";

/** The tiny model of the package. */
const embeddedFolder = new URL("../../models/smollm3-tiny/", import.meta.url);

/**
 * Finds a model. Reads no weights.
 *
 * @param source A folder in Transformers format, a `.gguf` file, either of them as a `file:` URL, `owner/name[@revision][:file-or-quantization]`
 * of a model in the Hugging Face cache, or `embedded`.
 * @throws {Deno.errors.NotFound} when there is nothing of that name; the message says what would be accepted.
 * @throws {TypeError} when there is something that is no model, or that would have to be downloaded.
 */
export async function resolveSource(source: string, options: SourceOptions = {}): Promise<ModelSource> {
  if (typeof source !== "string" || source === "") {
    throw new TypeError(`Cannot load a model: its source is ${source === "" ? "empty" : typeof source}; ${accepted}`);
  }
  if (source === "embedded") {
    const files = embeddedFolder.protocol === "file:" ? new LocalFolder(fileURLToPath(embeddedFolder)) : new RemoteFolder(embeddedFolder);
    return { kind: "transformers", name: "embedded", files };
  }
  if (/^https?:/.test(source)) throw new TypeError(`Cannot load ${source}: downloading is not built in yet; download the file and give its path`);
  const path = source.startsWith("file:") ? fileURLToPath(source) : source;
  const info = await statIfThere(path);
  if (info?.isDirectory) return await openFolder(path);
  if (info !== null) return openFile(path);

  const id = parseHubId(source);
  if (id === null) throw new Deno.errors.NotFound(`Cannot load ${source}: there is no such file or folder; ${accepted}`);
  return await openCached(source, id.revision === "main" && options.revision ? { ...id, revision: options.revision } : id, options);
}

async function statIfThere(path: string): Promise<Deno.FileInfo | null> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return null;
    throw error;
  }
}

async function openFolder(path: string): Promise<ModelSource> {
  const files = new LocalFolder(path), names = await files.list();
  if (names.some((name) => name === "config.json" || name === "tokenizer.json")) return { kind: "transformers", name: path, files };
  const gguf = names.filter(isFirstPart);
  if (gguf.length === 1) return { kind: "gguf", name: files.path(gguf[0]), files, file: gguf[0] };
  if (gguf.length > 1) throw new TypeError(`Cannot load ${path}: it holds several GGUF files, name one: ${gguf.join(", ")}`);
  throw new Deno.errors.NotFound(`Cannot load ${path}: the folder has neither config.json nor a .gguf file; ${accepted}`);
}

function openFile(path: string): ModelSource {
  const file = basename(path);
  if (!file.toLowerCase().endsWith(".gguf")) {
    throw new TypeError(`Cannot load ${path}: not a .gguf file; of a model in Transformers format give the folder that has its config.json`);
  }
  const part = splitPart(file);
  if (part !== null && part.number !== 1) {
    throw new TypeError(`Cannot load ${path}: it is part ${part.number} of ${part.count}; give the first, ${part.name(1)}`);
  }
  return { kind: "gguf", name: path, files: new LocalFolder(dirname(path)), file };
}

async function openCached(source: string, id: HubId, options: SourceOptions): Promise<ModelSource> {
  const cache = options.cacheDir ?? hubCacheFolder(), snapshot = await findSnapshot(id, cache);
  if (snapshot === null) {
    throw new Deno.errors.NotFound(
      `Cannot load ${source}: there is no such file or folder, and downloading is not built in yet; ` +
        `revision ${id.revision} of ${id.owner}/${id.name} is not in the Hugging Face cache ${cache} (hf download ${id.owner}/${id.name} puts it there)`,
    );
  }
  const files = new LocalFolder(snapshot), names = await files.list(), gguf = names.filter(isFirstPart), { variant } = id;
  if (variant === undefined && names.includes("config.json")) return { kind: "transformers", name: source, files };
  const wanted = (variant ?? "Q4_K_M").toLowerCase();
  const file = variant?.endsWith(".gguf") ? variant : gguf.find((name) => name.toLowerCase().includes(wanted)) ?? (variant === undefined ? gguf[0] : undefined);
  if (file === undefined) {
    const has = gguf.length > 0 ? `of it the cache has ${gguf.join(", ")}` : "its folder in the cache has no .gguf file";
    throw new Deno.errors.NotFound(`Cannot load ${source}: ${has}`);
  }
  return { kind: "gguf", name: source, files, file };
}

/** One file of a split GGUF, by its name. */
export interface SplitPart {
  readonly number: number;
  readonly count: number;
  /** Name of another part. */
  name(number: number): string;
}

/** @returns What the name of a file says about its part of a split GGUF (`-00001-of-00003.gguf`), or null. */
export function splitPart(file: string): SplitPart | null {
  const match = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/i.exec(file);
  if (match === null) return null;
  const name = (number: number) => `${match[1]}-${String(number).padStart(5, "0")}-of-${match[3]}${file.slice(-5)}`;
  return { number: Number(match[2]), count: Number(match[3]), name };
}

function isFirstPart(file: string): boolean {
  return file.toLowerCase().endsWith(".gguf") && (splitPart(file)?.number ?? 1) === 1;
}
