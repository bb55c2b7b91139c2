/// <reference lib="deno.unstable" />
/**
 * The house rules as lint rules, loaded by `deno lint`.
 *
 * @module
 */
import { fileLength, fileName } from "./file_shape.ts";
import { layers } from "./layers.ts";
import { portableEngine } from "./portable_engine.ts";

export default {
  name: "smolder",
  rules: { layers, "file-name": fileName, "file-length": fileLength, "portable-engine": portableEngine },
} satisfies Deno.lint.Plugin;
