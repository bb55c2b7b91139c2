/**
 * Folders of model files: on the local disk, or beside this module wherever it was imported from.
 *
 * @module
 */
import { join } from "node:path";
import { type ByteFile, MemoryFile, openLocalFile } from "./byte_file.ts";

/** Files by name. */
export interface FileStore {
  /** The folder, for messages. */
  readonly location: string;
  /** Where a file of that name is, for messages. */
  path(name: string): string;
  /** @returns Its text, or null when there is no such file. */
  readText(name: string): Promise<string | null>;
  /** @throws {Deno.errors.NotFound} when there is no such file. */
  open(name: string): Promise<ByteFile>;
}

/** A folder of the local disk. */
export class LocalFolder implements FileStore {
  constructor(readonly location: string) {}

  path(name: string): string {
    return join(this.location, name);
  }

  async readText(name: string): Promise<string | null> {
    try {
      return await Deno.readTextFile(this.path(name));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    }
  }

  async open(name: string): Promise<ByteFile> {
    try {
      return await openLocalFile(this.path(name));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) throw new Deno.errors.NotFound(`Cannot open ${this.path(name)}: there is no such file`);
      throw error;
    }
  }

  /** Names of its files, sorted. */
  async list(): Promise<string[]> {
    const names: string[] = [];
    // A link, as in the Hugging Face cache, counts as the file that it stands for.
    for await (const { name, isDirectory } of Deno.readDir(this.location)) if (!isDirectory) names.push(name);
    return names.sort();
  }
}

/** A folder of a package that was imported over http: small, and fetched whole. */
export class RemoteFolder implements FileStore {
  readonly location: string;

  constructor(readonly url: URL) {
    this.location = url.href;
  }

  path(name: string): string {
    return new URL(name, this.url).href;
  }

  async readText(name: string): Promise<string | null> {
    const response = await this.#fetch(name);
    return response && await response.text();
  }

  async open(name: string): Promise<ByteFile> {
    const response = await this.#fetch(name);
    if (response === null) throw new Deno.errors.NotFound(`Cannot open ${this.path(name)}: there is no such file`);
    return new MemoryFile(this.path(name), new Uint8Array(await response.arrayBuffer()));
  }

  async #fetch(name: string): Promise<Response | null> {
    const response = await fetch(this.path(name));
    if (response.ok) return response;
    await response.body?.cancel();
    if (response.status === 404) return null;
    throw new Deno.errors.Http(`Cannot fetch ${this.path(name)}: status ${response.status} ${response.statusText}`);
  }
}
