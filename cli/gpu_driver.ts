/**
 * What the environment must say before the first look for a GPU.
 *
 * @module
 */

/** On Linux: asks for Vulkan, and gives the driver the folder without which it complains on stderr, though nothing here draws in windows. */
export function prepareGpuDriver(): void {
  if (Deno.build.os !== "linux") return;
  if (!Deno.env.get("DENO_WEBGPU_BACKEND")) Deno.env.set("DENO_WEBGPU_BACKEND", "vulkan");
  if (!Deno.env.get("XDG_RUNTIME_DIR")) Deno.env.set("XDG_RUNTIME_DIR", "/");
}
