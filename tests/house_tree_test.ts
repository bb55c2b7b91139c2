import { assertEquals, assertMatch } from "@std/assert";
import { countTests, skippedTests } from "../_tools/test_counts.ts";
import { complaints } from "../_tools/tree_check.ts";

Deno.test("tree check: shader templates, long files, machine paths and registry hosts are reported with their place", () => {
  assertEquals(complaints("gpu/kernels/attention.wgsl", "const x = 1;\n"), []);
  assertMatch(complaints("gpu/kernels/attention.wgsl", "a\nconst x = ${x};\n")[0], /^gpu\/kernels\/attention\.wgsl:2: shader text/);
  assertEquals(complaints("wasm/model/src/ops/attention.rs", "//\n".repeat(400)), []);
  assertMatch(complaints("wasm/model/src/ops/attention.rs", "//\n".repeat(401))[0], /401 lines/);
  for (const folder of ["work", "root", "home", "tmp"]) {
    assertMatch(complaints("README.md", `see /${folder}/x/y`)[0], /^README\.md:1: names a folder/);
  }
  assertEquals(complaints("README.md", "the /work of others, ~/tmp/x, a/home/b, cache/tmp/x"), []);
  assertMatch(complaints("deno.json", `"https://registry.${"npmjs"}.org/x"`)[0], /registry's host/);
  assertEquals(complaints("wasm/generated/host.gen.ts", "/" + "root/x"), []);
});

Deno.test("test counts: deno and cargo summaries are summed, other output has none", () => {
  assertEquals(countTests("Checked 3 files\n"), null);
  assertEquals(countTests("ok | 12 passed (3 steps) | 0 failed | 2 ignored (1s)\n"), { passed: 12, failed: 0, skipped: 2 });
  assertEquals(countTests("FAILED | 12 passed | 1 failed (2 steps) (1s)\n"), { passed: 12, failed: 1, skipped: 0 });
  const cargo = "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
  assertEquals(countTests(`${cargo}\n   Doc-tests x\n\n${cargo}`), { passed: 10, failed: 0, skipped: 2 });
});

Deno.test("test counts: skipped tests are named", () => {
  assertEquals(skippedTests("a b ... ok (1ms)\ngpu: attention ... ignored (0ms)\ntest ops::slow ... ignored\n"), ["gpu: attention", "ops::slow"]);
});
