/// <reference lib="deno.unstable" />
/**
 * Who may import whom.
 *
 * @module
 */
import { importedPath, isTest, repositoryPath } from "./place.ts";

/** Folders (and `mod.ts`) that ship; everything else, and the tests among them, may import what it likes. */
const SHIPPED = new Set(["mod.ts", "api", "cli", "server", "engine", "gpu", "wasm"]);
/** What the layers above the engine may import besides `engine/`. */
const ABOVE: Record<string, readonly string[]> = {
  "mod.ts": ["api"],
  api: ["api"],
  cli: ["cli", "api", "mod.ts", "server"],
  server: ["server", "api", "mod.ts"],
};
/** The files of the engine that a backend may know. */
const CONTRACT = new Set(["program", "batch", "backend", "formats", "weights", "host"].map((name) => `engine/${name}.ts`));

const isScheduler = (path: string) => /^engine\/scheduler(\.ts$|\/|_)/.test(path);
const isModel = (path: string) => path === "engine/program.ts" || /^engine\/smollm3\w*\.ts$/.test(path);

/**
 * Why `file` may not import `target` (both relative to the repository), or null when it may.
 *
 * @param lazily Imported with `import()`, or for its types only.
 */
export function violation(file: string, target: string, lazily: boolean): string | null {
  const [from] = file.split("/"), [to] = target.split("/");
  if (!SHIPPED.has(from) || isTest(file)) return null;
  if (["tests", "bench", "_tools", "@std"].includes(to)) return `Shipped files import nothing from ${to}`;
  if (!SHIPPED.has(to)) return null;
  if (isScheduler(file) && isModel(target)) return "The scheduler never sees the program or the model";
  if (isModel(file) && isScheduler(target)) return "The model never sees the scheduler";
  if (from in ABOVE) {
    if (to === "engine" || ABOVE[from].includes(to)) return null;
    if (to === "gpu" || to === "wasm") return lazily ? null : `${to}/ is loaded lazily: use import() or import type`;
    return `${from} does not import ${to}`;
  }
  if (from === to) return null;
  if (from === "engine") return "engine/ imports engine/ only";
  if (to === "engine") return CONTRACT.has(target) ? null : `${from}/ sees only the contract files of engine/: ${[...CONTRACT].join(", ")}`;
  return `${from}/ does not import ${to}`;
}

/** Reports each import and re-export that crosses a border it may not. */
export const layers: Deno.lint.Rule = {
  create(context) {
    const file = repositoryPath(context.filename);
    function check(node: Deno.lint.Node, source: Deno.lint.Node | null, lazily: boolean): void {
      if (source?.type !== "Literal" || typeof source.value !== "string") return;
      const message = violation(file, importedPath(file, source.value), lazily);
      if (message !== null) context.report({ node, message });
    }
    return {
      ImportDeclaration: (node) => check(node, node.source, node.importKind === "type"),
      ExportAllDeclaration: (node) => check(node, node.source, node.exportKind === "type"),
      ExportNamedDeclaration: (node) => check(node, node.source, node.exportKind === "type"),
      ImportExpression: (node) => check(node, node.source, true),
    };
  },
};
