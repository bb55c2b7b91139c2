import { assert, assertEquals } from "@std/assert";
import { type Container, fuzzLoader } from "./loader_fuzz.ts";

for (const container of ["safetensors", "bitsandbytes", "gguf"] satisfies Container[]) {
  Deno.test(`4,000 mutated ${container} models open or are refused with a typed error`, async () => {
    const report = await fuzzLoader(container, 4000, 20_250_708);
    assertEquals(report.failures, []);
    // Most mutations break a file, and some change only weights: were it otherwise, nothing would be tested.
    assert(report.refused > 1000 && report.opened > 100, JSON.stringify(report));
    assertEquals(report.opened + report.refused, 4000);
  });
}
