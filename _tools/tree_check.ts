/**
 * Checks what `deno lint` does not read: Rust, shaders, scripts and documents.
 *
 *     deno run -R --allow-run=git _tools/tree_check.ts
 *
 * @module
 */
import { MAX_LINES } from "./lint/file_shape.ts";

const BINARY = /\.(safetensors|gguf|gz|bin|png|wasm)$/;
/** A line that names a folder of the machine it was written on. */
const MACHINE_PATH = /(?<![\w.~-])\/(?:work|root|home|tmp|Users)\/[\w.-]+/;
/** A host that serves packages; clients know it already. */
const REGISTRY_HOST = /\b(?:registry\.npmjs|registry\.yarnpkg|(?:index|static)\.crates|files\.pythonhosted)\.\w+/;

/**
 * What is wrong with one file.
 *
 * @param path Relative to the repository, with forward slashes.
 * @returns A line for each complaint, with the place in front.
 */
export function complaints(path: string, text: string): string[] {
  const found: string[] = [];
  const lines = text.split("\n");
  const generated = /\.gen\.\w+$/.test(path);
  if (/\.(rs|wgsl)$/.test(path) && lines.length - 1 > MAX_LINES) found.push(`${path}: ${lines.length - 1} lines, at most ${MAX_LINES}`);
  lines.forEach((line, i) => {
    const at = `${path}:${i + 1}`;
    if (path.endsWith(".wgsl") && line.includes("${")) found.push(`${at}: shader text is not a template: use override or another part`);
    if (!generated && MACHINE_PATH.test(line)) found.push(`${at}: names a folder of one machine: ${MACHINE_PATH.exec(line)![0]}`);
    if (!generated && REGISTRY_HOST.test(line)) found.push(`${at}: names a registry's host: ${REGISTRY_HOST.exec(line)![0]}`);
  });
  return found;
}

/** Files that git tracks or would track. */
function trackedFiles(): string[] {
  const { success, stdout, stderr } = new Deno.Command("git", { args: ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"] })
    .outputSync();
  if (!success) throw new Error(`Cannot list the files of the repository: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout).split("\0").filter((path) => path !== "");
}

if (import.meta.main) {
  const found: string[] = [];
  let files = 0;
  for (const path of trackedFiles()) {
    if (BINARY.test(path) || /^(tests\/fixtures|models)\//.test(path)) continue;
    try {
      found.push(...complaints(path, Deno.readTextFileSync(path)));
      files++;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error; // deleted, but not yet committed
    }
  }
  for (const line of found) console.error(line);
  if (found.length > 0) Deno.exit(1);
  console.log(`${files} files`);
}
