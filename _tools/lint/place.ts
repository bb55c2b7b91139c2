/**
 * Where a linted file stands in the repository.
 *
 * @module
 */
import { posix } from "node:path";

const ROOT = decodeURIComponent(new URL("../../", import.meta.url).pathname);

/** @returns `filename` relative to the repository, with forward slashes; as it is when it lies elsewhere or is relative already. */
export function repositoryPath(filename: string): string {
  const path = filename.replaceAll("\\", "/");
  return path.startsWith(ROOT) ? path.slice(ROOT.length) : path;
}

/** @returns What a relative import means from `file`, relative to the repository; a bare specifier as it is. */
export function importedPath(file: string, specifier: string): string {
  return specifier.startsWith(".") ? posix.join(posix.dirname(file), specifier) : specifier;
}

/** Tests stand beside what they test but do not ship. */
export function isTest(file: string): boolean {
  return file.endsWith("_test.ts");
}
