/**
 * Loading a 1.7 GB GGUF file (SmolLM3-3B in q4_0, random weights) onto the GPU, through the public API: how long, against reading the file and
 * against what the upload alone takes; how much host memory; when the first token is there. Each figure comes from a process of its own, the file
 * from the page cache, or with `--cold` (Linux) from the disk.
 *
 * `deno run -A bench/gpu/load.ts [--file MODEL.gguf] [--runs 3] [--cold]`
 *
 * @module
 */
import { parseArgs } from "node:util";
import { smollm3, writeRandomGguf } from "../../_tools/random_gguf.ts";

const { values: args } = parseArgs({
  options: { file: { type: "string" }, runs: { type: "string", default: "3" }, cold: { type: "boolean", default: false }, part: { type: "string" } },
});

/** What is measured, each in its own process. */
const parts: Record<string, (file: string) => Promise<Record<string, number>>> = {
  /** Reads the file as the loader does: its most bytes at once, into the same buffer. */
  async read(path) {
    const { openLocalFile } = await import("../../engine/loader/byte_file.ts");
    const file = await openLocalFile(path), buffer = new Uint8Array(16 << 20), startMs = performance.now();
    for (let at = 0; at < file.size; at += buffer.length) file.read(at, buffer.subarray(0, Math.min(buffer.length, file.size - at)));
    return { readMs: performance.now() - startMs };
  },

  /** Uploads 2 GiB in pieces of 16 MiB, a fence after every four. */
  async upload() {
    const { requestGpu } = await import("../../gpu/device.ts"), startMs = performance.now();
    const { device } = await requestGpu(), openedMs = performance.now(), bytes = new Uint8Array(16 << 20).fill(1);
    const buffer = device.createBuffer({ size: 4 * bytes.length, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST });
    const run = (pieces: number) => {
      const startMs = performance.now(), fences: Promise<undefined>[] = [];
      for (let piece = 0; piece < pieces; piece++) {
        device.queue.writeBuffer(buffer, piece % 4 * bytes.length, bytes);
        if (piece % 4 < 3) continue;
        device.queue.submit([]);
        fences.push(device.queue.onSubmittedWorkDone()); // blocks while it is called
      }
      return { fences, elapsedMs: performance.now() - startMs };
    };
    const first = run(16), second = run(128);
    await Promise.all([...first.fences, ...second.fences]);
    return { openMs: openedMs - startMs, uploadGBs: 128 * bytes.length / second.elapsedMs / 1e6 };
  },

  /** Loads the model, makes tokens, and loads it once more: the device is open then, and kernels are compiled. */
  async load(path) {
    const { AutoModelForCausalLM } = await import("../../api/causal_lm.ts"), device = watchDevice();
    Deno.writeTextFileSync("/proc/self/clear_refs", "5"); // the peak starts here
    const before = memory(), startMs = performance.now();
    let firstMs = 0, lastMs = 0, calls = 0;
    const options = { device: "webgpu", maxModelLen: 4096, maxNumSeqs: 1 } as const;
    const model = await AutoModelForCausalLM.fromPretrained(path, {
      ...options,
      onProgress() {
        lastMs = performance.now();
        firstMs ||= lastMs;
        calls++;
      },
    });
    const loadedMs = performance.now(), after = memory();
    const inputIds = Array.from({ length: 32 }, (_, i) => i * 1009 % 32000), answer = { inputIds, doSample: false, eosTokenId: [] };
    await model.generate({ ...answer, maxNewTokens: 1 });
    const tokenMs = performance.now();
    await model.generate({ ...answer, maxNewTokens: 32 });
    const moreTokensMs = performance.now() - tokenMs;
    await model.dispose();
    const againMs = performance.now(), again = await AutoModelForCausalLM.fromPretrained(path, options), loadAgainMs = performance.now() - againMs;
    await again.dispose();
    return {
      loadMs: loadedMs - startMs,
      untilDeviceMs: device.askedMs - startMs,
      deviceMs: device.openMs - device.askedMs,
      untilFirstChunkMs: firstMs - device.openMs,
      chunksMs: lastMs - firstMs,
      finishMs: loadedMs - lastMs,
      firstTokenMs: tokenMs - startMs,
      moreTokensMs,
      loadAgainMs,
      progressCalls: calls,
      startMiB: before.VmRSS,
      peakAboveStartMiB: after.VmHWM - before.VmRSS,
      endAboveStartMiB: after.VmRSS - before.VmRSS,
      anonymousAboveStartMiB: after.RssAnon - before.RssAnon,
    };
  },
};

/** When the first device is asked for, and when it is there. */
function watchDevice(): { askedMs: number; openMs: number } {
  const times = { askedMs: NaN, openMs: NaN }, { gpu } = navigator, requestAdapter = gpu.requestAdapter.bind(gpu);
  gpu.requestAdapter = async (options) => {
    times.askedMs = performance.now();
    delete (gpu as Partial<GPU>).requestAdapter;
    const adapter = await requestAdapter(options), requestDevice = adapter!.requestDevice.bind(adapter);
    adapter!.requestDevice = async (descriptor) => {
      const device = await requestDevice(descriptor);
      times.openMs = performance.now();
      return device;
    };
    return adapter;
  };
  return times;
}

/** Resident memory of this process in MiB. */
function memory(): Record<string, number> {
  const lines = Deno.readTextFileSync("/proc/self/status").matchAll(/^(VmRSS|VmHWM|RssAnon):\s*(\d+) kB$/gm);
  return Object.fromEntries(Array.from(lines, ([, name, kiB]) => [name, Number(kiB) / 1024]));
}

/** Runs a part in a process of its own. */
async function measure(part: string, file: string): Promise<Record<string, number>> {
  if (args.cold) new Deno.Command("dd", { args: [`if=${file}`, "iflag=nocache", "count=0"] }).outputSync(); // takes this file alone out of the page cache
  const command = [...["run", "-A", "--no-check", "--no-lock"], new URL(import.meta.url).pathname, "--part", part, "--file", file];
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args: command, stdout: "piped", stderr: "piped" }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

if (args.part !== undefined) {
  console.log(JSON.stringify(await parts[args.part](args.file!)));
  Deno.exit(0);
}
const file = args.file ?? await Deno.makeTempFile({ suffix: ".gguf" }), startMs = performance.now();
try {
  if (args.file === undefined) {
    await writeRandomGguf(file, smollm3);
    console.log(`wrote ${file} in ${(performance.now() - startMs).toFixed(0)} ms`);
  }
  const bytes = (await Deno.stat(file)).size;
  for (let run = 0; run < Number(args.runs); run++) {
    const all = { ...await measure("read", file), ...await measure("upload", file), ...await measure("load", file) };
    const uploadMs = bytes / all.uploadGBs / 1e6, allowedMs = 1.3 * (all.readMs + uploadMs);
    console.log(`run ${run + 1}, ${(bytes / 1e9).toFixed(2)} GB`);
    for (const [name, value] of Object.entries({ ...all, uploadMs, allowedMs })) console.log(`  ${name.padEnd(24)} ${value.toFixed(1)}`);
    const times = (ms: number) => (ms / (all.readMs + uploadMs)).toFixed(2);
    console.log(
      `  load is ${times(all.loadMs)} times reading and uploading, without opening the device ${times(all.loadMs - all.deviceMs)}, again ${
        times(all.loadAgainMs)
      }`,
    );
  }
} finally {
  if (args.file === undefined) await Deno.remove(file);
}
