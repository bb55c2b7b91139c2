/**
 * The one door: everything that must hold before a change goes in.
 *
 *     deno task ok              # what this machine lacks is skipped, and said
 *     SMOLDER_CI=1 deno task ok # a skip is a failure; the Wasm modules are rebuilt and compared
 *
 * The last line is `N passed, N failed, N skipped`: tests one by one, any other stage as one.
 *
 * @module
 */
import { type Counts, countTests, skippedTests } from "./test_counts.ts";

interface Stage {
  readonly name: string;
  readonly command: readonly [program: string, ...args: string[]];
  /** Folder to run in, relative to the repository. */
  readonly folder?: string;
  /** Only where {@link inCI}. */
  readonly ci?: boolean;
}

const ROOT = new URL("../", import.meta.url);
/** Several times what the slowest stage takes on two slow cores, so that a hang is a failure and a busy machine is none. */
const STAGE_TIMEOUT_MS = 40 * 60_000;
/** Lines that say nothing about a failure. */
const NOISE = /^(?:(?:Check|Download|Task|running \d+ tests?) .*|.* \.\.\. ok(?: \(.*\))?)\n/gm;
const inCI = Deno.env.get("SMOLDER_CI") === "1";

const stages: readonly Stage[] = [
  { name: "format", command: ["deno", "fmt", "--check"] },
  { name: "lint", command: ["deno", "lint"] },
  { name: "tree", command: ["deno", "run", "-R", "--allow-run=git", "_tools/tree_check.ts"] },
  { name: "types", command: ["deno", "check", "."] },
  { name: "generated", command: ["deno", "task", "build", "--check"] },
  { name: "docs", command: ["deno", "doc", "--lint", "mod.ts", "cli/main.ts"] },
  { name: "package", command: ["deno", "publish", "--dry-run", "--allow-dirty"] },
  { name: "tests", command: ["deno", "task", "test"] },
  { name: "host format", command: ["cargo", "fmt", "--check"], folder: "wasm/host/" },
  { name: "model format", command: ["cargo", "fmt", "--check"], folder: "wasm/model/" },
  { name: "host crate", command: ["cargo", "test", "--locked"], folder: "wasm/host/" },
  { name: "model crate", command: ["cargo", "test", "--locked"], folder: "wasm/model/" },
  { name: "rebuild", command: ["deno", "run", "-A", "_tools/rebuild_check.ts"], ci: true },
];

/** Exit status and everything printed; status null when the program is not installed. */
async function execute({ command: [program, ...args], folder = "" }: Stage): Promise<{ success: boolean | null; output: string }> {
  const child = (() => {
    try {
      return new Deno.Command(program === "deno" ? Deno.execPath() : program, {
        args,
        cwd: new URL(folder, ROOT),
        env: { NO_COLOR: "1", CARGO_TERM_COLOR: "never" },
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
        signal: AbortSignal.timeout(STAGE_TIMEOUT_MS),
      }).spawn();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    }
  })();
  if (child === null) return { success: null, output: "" };
  let output = "";
  const collect = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) output += text;
  };
  const [status] = await Promise.all([child.status, collect(child.stdout), collect(child.stderr)]);
  return { success: status.success, output };
}

/** Runs a stage and prints its line; what it printed follows when it failed. */
async function run(stage: Stage): Promise<Counts> {
  const start = performance.now();
  const { success, output } = await execute(stage);
  const seconds = `${((performance.now() - start) / 1000).toFixed(1)} s`.padStart(8);
  const line = (verdict: string, note = "") => console.log(`${stage.name.padEnd(12)} ${verdict.padEnd(7)} ${seconds}  ${note}`.trimEnd());

  if (success === null) {
    line(inCI ? "FAILED" : "skipped", `${stage.command[0]} is not installed`);
    return { passed: 0, failed: inCI ? 1 : 0, skipped: 1 };
  }
  const counts = countTests(output) ?? { passed: success ? 1 : 0, failed: 0, skipped: 0 };
  const failed = counts.failed > 0 || success ? counts.failed : 1;
  const refused = inCI ? counts.skipped : 0;
  line(failed + refused > 0 ? "FAILED" : "ok", `${counts.passed} passed, ${failed} failed, ${counts.skipped} skipped`);
  if (failed > 0) console.log(output.replace(NOISE, "").trimEnd().replace(/^/gm, "  | "));
  for (const name of skippedTests(output)) console.log(`  skipped: ${name}`);
  return { passed: counts.passed, failed: failed + refused, skipped: counts.skipped };
}

const total: Counts = { passed: 0, failed: 0, skipped: 0 };
for (const stage of stages) {
  if (stage.ci && !inCI) continue;
  const counts = await run(stage);
  for (const key of ["passed", "failed", "skipped"] as const) total[key] += counts[key];
}
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
Deno.exit(total.failed > 0 ? 1 : 0);
