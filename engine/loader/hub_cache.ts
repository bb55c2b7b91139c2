/**
 * Models that other tools have put into the Hugging Face cache: `models--OWNER--NAME/{refs/REVISION, snapshots/COMMIT/FILES}`. Read only.
 *
 * @module
 */
import { join } from "node:path";

/** A model on the hub: `owner/name[@revision][:file-or-quantization]`. */
export interface HubId {
  readonly owner: string;
  readonly name: string;
  readonly revision: string;
  /** A file of it, or a part of a file's name such as `Q4_K_M`. */
  readonly variant?: string;
}

/** @returns The parts of a hub id, or null when `source` is none. */
export function parseHubId(source: string): HubId | null {
  const match = /^([\w.-]+)\/([\w.-]+)(?:@([\w./-]+))?(?::([\w./-]+))?$/.exec(source);
  if (match === null) return null;
  const [, owner, name, revision = "main", variant] = match;
  if ([owner, name, ...revision.split("/"), ...variant?.split("/") ?? []].some((part) => /^\.*$/.test(part))) return null;
  return { owner, name, revision, variant };
}

/** Folder of the cache, by the environment variables of `huggingface_hub`. */
export function hubCacheFolder(env: (name: string) => string | undefined = Deno.env.get): string {
  const cache = env("HF_HUB_CACHE");
  if (cache) return cache;
  const hfHome = env("HF_HOME");
  if (hfHome) return join(hfHome, "hub");
  const home = env("HOME") ?? env("USERPROFILE") ?? ".";
  return join(env("XDG_CACHE_HOME") || join(home, ".cache"), "huggingface", "hub");
}

/** @returns The folder with the files of that revision, or null when the cache does not have it. */
export async function findSnapshot(id: HubId, cacheFolder: string): Promise<string | null> {
  const model = join(cacheFolder, `models--${id.owner}--${id.name}`);
  const commit = await readIfThere(join(model, "refs", id.revision)) ?? id.revision;
  if (!/^[\w.-]+$/.test(commit)) return null;
  const snapshot = join(model, "snapshots", commit);
  try {
    return (await Deno.stat(snapshot)).isDirectory ? snapshot : null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return (await Deno.readTextFile(path)).trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.IsADirectory || error instanceof Deno.errors.NotADirectory) return null;
    throw error;
  }
}
