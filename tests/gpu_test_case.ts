/**
 * Tests that need a WebGPU adapter, a software one will do: counted as skipped where there is none, which the door refuses in CI.
 *
 * @module
 */

/** Whether this machine has an adapter. */
export const hasAdapter = (await navigator.gpu?.requestAdapter()) != null;

/** A test that needs an adapter. */
export function gpuTest(name: string, fn: (t: Deno.TestContext) => void | Promise<void>): void {
  Deno.test({ name: hasAdapter ? name : `${name} (skipped: no WebGPU adapter)`, ignore: !hasAdapter, fn });
}
