/// <reference lib="deno.unstable" />
import { assertEquals } from "@std/assert";
import plugin from "../_tools/lint/plugin.ts";

/** Ids of the rules that fire, without the plugin's name. */
function fired(file: string, source: string): string[] {
  return Deno.lint.runPlugin(plugin, file, source).map((diagnostic) => diagnostic.id.replace("smolder/", ""));
}

const allowed: [file: string, source: string][] = [
  ["mod.ts", `export { Engine } from "./api/engine.ts";`],
  ["mod.ts", `export { DeviceError } from "./engine/backend.ts";`],
  ["api/causal_lm.ts", `const { WasmBackend } = await import("../wasm/backend.ts");`],
  ["api/causal_lm.ts", `import type { WasmBackend } from "../wasm/backend.ts";`],
  ["cli/main.ts", `import { pipeline } from "../mod.ts";`],
  ["gpu/backend.ts", `import type { Program } from "../engine/program.ts"; import { kernels } from "./kernels.ts";`],
  ["wasm/host.ts", `import type { Host } from "../engine/host.ts";`],
  ["engine/loader/gguf.ts", `import { rowBytes } from "../formats.ts"; import { Template } from "@huggingface/jinja";`],
  ["engine/scheduler.ts", `import type { Batch } from "./batch.ts";`],
  ["engine/smollm3.ts", `import { ProgramBuilder } from "./program.ts";`],
  ["engine/formats_test.ts", `import { assertEquals } from "@std/assert"; Deno.test("x", () => {});`],
  ["tests/engine_test.ts", `import { x } from "../wasm/backend.ts"; import { smolLM3 } from "../engine/smollm3.ts"; import { y } from "../bench/y.ts";`],
];
const refused: [file: string, source: string][] = [
  ["mod.ts", `export { WasmBackend } from "./wasm/backend.ts";`],
  ["mod.ts", `export * from "./gpu/backend.ts";`],
  ["mod.ts", `import { main } from "./cli/main.ts";`],
  ["api/causal_lm.ts", `import { WasmBackend } from "../wasm/backend.ts";`],
  ["api/causal_lm.ts", `import { chat } from "../cli/chat.ts";`],
  ["api/causal_lm.ts", `import { Engine } from "../mod.ts";`],
  ["gpu/backend.ts", `import { smolLM3 } from "../engine/smollm3.ts";`],
  ["gpu/backend.ts", `import type { SmolLM3Config } from "../engine/config.ts";`],
  ["gpu/backend.ts", `import { x } from "../wasm/host.ts";`],
  ["wasm/backend.ts", `const x = await import("../gpu/backend.ts");`],
  ["wasm/backend.ts", `import { x } from "../api/engine.ts";`],
  ["engine/engine.ts", `import type { Model } from "../api/causal_lm.ts";`],
  ["engine/engine.ts", `import { x } from "../wasm/host.ts";`],
  ["engine/scheduler.ts", `import type { Program } from "./program.ts";`],
  ["engine/scheduler/scheduler.ts", `import { smolLM3 } from "../smollm3.ts";`],
  ["engine/smollm3.ts", `import type { Scheduler } from "./scheduler.ts";`],
  ["engine/engine.ts", `import { assert } from "../tests/assert.ts";`],
  ["cli/main.ts", `import { assert } from "@std/assert";`],
  ["cli/main.ts", `const x = await import("../bench/peers.ts");`],
  ["gpu/backend.ts", `export { build } from "../_tools/build.ts";`],
];

Deno.test("layers: allowed imports pass", () => {
  for (const [file, source] of allowed) assertEquals(fired(file, source), [], `${file}: ${source}`);
});

Deno.test("layers: each crossing is reported once", () => {
  for (const [file, source] of refused) assertEquals(fired(file, source), ["layers"], `${file}: ${source}`);
});

Deno.test("file-name: snake_case that says what is inside", () => {
  for (const file of ["engine/block_cache.ts", "mod.ts", "tests/house_lint_test.ts", "wasm/generated/host.gen.ts", "engine/smollm3.ts"]) {
    assertEquals(fired(file, "export {};"), [], file);
  }
  for (const file of ["engine/blockCache.ts", "engine/block-cache.ts", "engine/BlockCache.ts", "api/utils.ts", "gpu/types.ts", "cli/index.ts"]) {
    assertEquals(fired(file, "export {};"), ["file-name"], file);
  }
});

Deno.test("file-length: 400 lines are the limit", () => {
  assertEquals(fired("engine/long.ts", "export {};\n".repeat(400)), []);
  assertEquals(fired("engine/long.ts", "export {};\n".repeat(401)), ["file-length"]);
});

Deno.test("portable-engine: no machine in engine/", () => {
  for (
    const source of ["Deno.cwd();", "new Worker(url);", "await navigator.gpu.requestAdapter();", "const { args } = Deno;", "const read = globalThis.Deno.open;"]
  ) {
    assertEquals(fired("engine/runner.ts", source), ["portable-engine"], source);
    assertEquals(fired("wasm/backend.ts", source), [], source);
  }
  assertEquals(fired("engine/runner.ts", "const gpu = 'Deno'; navigator.hardwareConcurrency; class Workers {}"), []);
  assertEquals(fired("engine/loader/file.ts", "Deno.open(path);"), []);
  assertEquals(fired("engine/loader/file.ts", "new Worker(url);"), ["portable-engine"]);
});
