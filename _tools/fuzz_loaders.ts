/**
 * Opens mutated model files: `deno run -A _tools/fuzz_loaders.ts [COUNT] [SEED]`, COUNT of each container. Ends with status 1 on an untyped error.
 *
 * @module
 */
import { type Container, fuzzLoader } from "../tests/loader_fuzz.ts";

const [count = 1_000_000, seed = 1] = Deno.args.map(Number);
let failed = false;
for (const container of ["safetensors", "bitsandbytes", "gguf"] satisfies Container[]) {
  const start = performance.now(), { inputs, opened, refused, slowestMs, failures } = await fuzzLoader(container, count, seed);
  const seconds = ((performance.now() - start) / 1000).toFixed(1), mebibytes = Math.round(Deno.memoryUsage().rss / 2 ** 20);
  console.log(
    `${container}: ${inputs} inputs, ${opened} opened, ${refused} refused, ${failures.length} untyped errors, slowest ${
      slowestMs.toFixed(1)
    } ms, ${seconds} s, ${mebibytes} MiB`,
  );
  for (const failure of failures) console.log(failure);
  failed ||= failures.length > 0;
}
Deno.exit(failed ? 1 : 0);
