/** What is read comes back whole, also when more is read than before. */
import { assertEquals } from "@std/assert";
import { requestGpu } from "../gpu/device.ts";
import { Readback } from "../gpu/readback.ts";
import { gpuTest } from "./gpu_test_case.ts";

gpuTest("gpu: a readback grows with what is read", async () => {
  const { device } = await requestGpu(), words = Uint32Array.from({ length: 300_000 }, (_, i) => i * 2_654_435_761);
  const source = device.createBuffer({ size: words.byteLength, usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });
  device.queue.writeBuffer(source, 0, words);
  for (const readback of [new Readback(device, 64), new Readback(device, 64, 900_000), await Readback.create(device, 64)]) {
    for (const [first, count] of [[3, 7], [0, 16], [100, 20_000], [5, 3], [0, words.length], [7, 250_000]]) {
      readback.reserve(count * 4);
      const encoder = device.createCommandEncoder(), half = Math.floor(count / 2);
      readback.record(encoder, source, first * 4, half * 4);
      readback.record(encoder, source, (first + half) * 4, (count - half) * 4, half * 4);
      device.queue.submit([encoder.finish()]);
      assertEquals(new Uint32Array(await readback.read(count * 4)), words.slice(first, first + count));
    }
    readback.destroy();
  }
  await new Promise((resolve) => setTimeout(resolve, 30)); // mappings settle late
  device.destroy();
});
