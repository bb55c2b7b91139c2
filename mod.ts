/**
 * SmolLM3 on Deno: Transformers folders and GGUF files on the CPU and the GPU.
 *
 * Importing this module needs no permission, reads nothing and starts nothing.
 *
 * @module
 */
export { DeviceError } from "./engine/backend.ts";
