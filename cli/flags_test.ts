import { assertEquals, assertThrows } from "@std/assert";
import { commonFlags, parseFlags, samplingFlags, suggestion, threadsFlag } from "./flags.ts";
import { UsageError } from "./usage_error.ts";

const flags = { ...commonFlags, ...threadsFlag, ...samplingFlags };
const parse = (line: string, environment: Record<string, string> = {}) => parseFlags(line.split(" ").filter(Boolean), flags, (name) => environment[name]);

Deno.test("flags, their environment twins and positionals", () => {
  const { values, positionals } = parse("a --max-new-tokens 5 --temperature=0 --think --stop x --stop y -h b", {
    SMOLDER_MAX_NEW_TOKENS: "7",
    SMOLDER_TOP_K: "3",
    SMOLDER_STOP: "z",
    SMOLDER_OFFLINE: "1",
    SMOLDER_VERBOSE: "0",
    SMOLDER_SEED: "",
  });
  assertEquals(positionals, ["a", "b"]);
  assertEquals({ ...values }, { "max-new-tokens": 5, "top-k": 3, temperature: 0, think: true, stop: ["x", "y"], help: true, offline: true, verbose: false });
  assertEquals(parse("", { SMOLDER_STOP: "z" }).values.stop, ["z"]);
});

Deno.test("mistakes name the flag and the fix", () => {
  const cases: [string, Record<string, string>, string][] = [
    ["--max-new-token 5", {}, "Unknown flag --max-new-token, did you mean --max-new-tokens"],
    ["--warmth 5", {}, "Unknown flag --warmth"],
    ["-x", {}, "Unknown flag -x"],
    ["--temperature hot", {}, "--temperature must be a number, got hot"],
    ["--temperature -1", {}, "--temperature must be between 0 and 100, got -1"],
    ["--threads 1.5", {}, "--threads must be a whole number, got 1.5"],
    ["--threads", {}, "--threads needs a value: --threads N"],
    ["--think=yes", {}, "--think takes no value"],
    ["--device tpu", {}, "--device must be one of auto, wasm, webgpu, got tpu"],
    ["", { SMOLDER_TOP_P: "2" }, "SMOLDER_TOP_P must be between 0 and 1, got 2"],
    ["", { SMOLDER_THINK: "perhaps" }, "SMOLDER_THINK must be 1 or 0"],
  ];
  for (const [line, environment, message] of cases) assertThrows(() => parse(line, environment), UsageError, message);
  assertEquals(suggestion("warmth", Object.keys(flags)), "");
});
