/**
 * smolder beside native llama.cpp and wllama on the CPU, or beside llama.cpp on the GPU: same file, same token counts, runs alternating, medians, ratios.
 *
 *     deno run -A bench/peers.ts --model FILE.gguf [--threads 1,2] [--prompt 512] [--new 64] [--runs 5] [--peers llama.cpp,wllama] [--python python3] [--json]
 *     deno run -A bench/peers.ts --model FILE.gguf --gpu [--python CUDA/bin/python --python VULKAN/bin/python]
 *     deno run -A bench/peers.ts --model random-3b    # writes a SmolLM3-3B-shaped q4_0 file of 1.7 GB into the temporary folder and keeps it;
 *                                                     # random-3b-q8_0 and random-3b-bf16 likewise
 *
 * @module
 */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { randomTypes, smollm3, writeRandomGguf } from "../_tools/random_gguf.ts";
import { type Peer, PeerProcess, type Speed } from "./peers/peer_process.ts";

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    threads: { type: "string", default: "1,2" },
    gpu: { type: "boolean", default: false },
    prompt: { type: "string", default: "512" },
    new: { type: "string", default: "64" },
    runs: { type: "string", default: "5" },
    peers: { type: "string" },
    python: { type: "string", multiple: true, default: ["python3"] },
    json: { type: "boolean", default: false },
  },
});
if (values.model === undefined) {
  console.error("Which model? --model FILE.gguf, or --model random-3b");
  Deno.exit(2);
}

const script = (name: string) => fileURLToPath(new URL(`peers/${name}`, import.meta.url));
const strings = (...numbers: number[]) => numbers.map(String);
const known: readonly Peer[] = [
  { name: "smolder", command: (file, ...numbers) => [Deno.execPath(), "run", "-A", script("smolder.ts"), file, ...strings(...numbers)] },
  // Each Python has a llama.cpp of its own.
  ...values.python.map((python): Peer => (
    { name: "llama.cpp", command: (file, ...numbers) => [python, script("llama_cpp_native.py"), file, ...strings(...numbers)] }
  )),
  {
    name: "wllama",
    command: (file, ...numbers) => [Deno.execPath(), "run", "-A", "--no-lock", "--unstable-raw-imports", script("wllama.ts"), file, ...strings(...numbers)],
  },
];
const wanted = ["smolder", ...(values.peers ?? (values.gpu ? "llama.cpp" : "llama.cpp,wllama")).split(",").filter((name) => name !== "")];
for (const name of wanted) {
  if (!known.some((peer) => peer.name === name)) {
    console.error(`Unknown peer ${name}: choose among ${[...new Set(known.map((peer) => peer.name))].join(", ")}`);
    Deno.exit(2);
  }
}
const peers = known.filter((peer) => wanted.includes(peer.name));
const [prompt, newTokens, runs] = [values.prompt, values.new, values.runs].map(Number);

async function modelFile(model: string): Promise<string> {
  const type = randomTypes.find((type) => model === `random-3b-${type}`) ?? (model === "random-3b" ? smollm3.type : undefined);
  if (type === undefined) return model;
  const path = join(tmpdir(), `smolder-random-3b-${type}.gguf`);
  const exists = await Deno.stat(path).then((info) => info.isFile, () => false);
  if (!exists) {
    console.error(`Writing ${path}`);
    await writeRandomGguf(`${path}.part`, { ...smollm3, type });
    await Deno.rename(`${path}.part`, path);
  }
  return path;
}

const median = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];

interface Row extends Speed {
  readonly threads: number;
  readonly peer: string;
  readonly version: string;
  readonly startMs: number;
  /** Every run, for those who distrust medians. */
  readonly all: readonly Speed[];
}

/** All peers with one number of threads, none for the GPU: loaded one after the other, then measured in turn. */
async function compare(file: string, threads: number): Promise<Row[]> {
  const started: PeerProcess[] = [];
  for (const peer of peers) started.push(await PeerProcess.start(peer, file, threads, prompt, newTokens));
  const speeds = started.map(() => [] as Speed[]);
  for (let run = 0; run < runs; run++) {
    for (const [i, peer] of started.entries()) speeds[i].push(await peer.measure());
  }
  for (const peer of started) await peer.close();
  return started.map(({ name, version, startMs }, i) => ({
    threads,
    peer: name,
    version,
    startMs,
    prefill: median(speeds[i].map((speed) => speed.prefill)),
    decode: median(speeds[i].map((speed) => speed.decode)),
    all: speeds[i],
  }));
}

const file = await modelFile(values.model);
const rows: Row[] = [];
for (const threads of values.gpu ? [0] : values.threads.split(",").map(Number)) rows.push(...await compare(file, threads));

if (values.json) {
  console.log(JSON.stringify({ model: values.model, prompt, newTokens, runs, rows }, null, 2));
} else {
  console.log(`${values.model}: ${prompt} tokens of prompt, ${newTokens} new, median of ${runs} alternating runs; ratio = smolder / peer\n`);
  console.log("| threads | engine | prefill tokens/s | ratio | decode tokens/s | ratio | start to 8 tokens, ms |\n| --- | --- | --- | --- | --- | --- | --- |");
  for (const row of rows) {
    const own = rows.find(({ threads, peer }) => threads === row.threads && peer === "smolder")!;
    const ratio = (key: keyof Speed) => row === own ? "" : (own[key] / row[key]).toFixed(2);
    const cells = [
      row.threads || "GPU",
      `${row.peer} ${row.version}`,
      row.prefill.toFixed(1),
      ratio("prefill"),
      row.decode.toFixed(1),
      ratio("decode"),
      row.startMs.toFixed(0),
    ];
    console.log(`| ${cells.join(" | ")} |`);
  }
}
