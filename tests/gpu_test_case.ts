/**
 * Tests that need a WebGPU adapter, a software one will do: counted as skipped where there is none, which the door refuses in CI.
 *
 * @module
 */

const adapter = await navigator.gpu?.requestAdapter();
const isSoftware = /llvmpipe|lavapipe|swiftshader/i.test(adapter?.info.description ?? "");

/** Whether this machine has an adapter that is to be tested: a software one takes minutes, so CI does that. */
export const hasAdapter = adapter != null && (!isSoftware || Deno.env.get("SMOLDER_CI") === "1");

/** A test that needs an adapter. `deno task test:gpu` finds it by its name. */
export function gpuTest(name: string, fn: (t: Deno.TestContext) => void | Promise<void>): void {
  if (!name.includes("gpu")) throw new TypeError(`Cannot find the test "${name}": its name must have gpu in it`);
  Deno.test({ name: hasAdapter ? name : `${name} (skipped: no WebGPU adapter but perhaps a software one, which SMOLDER_CI=1 tests)`, ignore: !hasAdapter, fn });
}
