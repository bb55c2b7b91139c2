import { assertEquals } from "@std/assert";
import { multiprocessorsOf } from "../gpu/multiprocessors.ts";

Deno.test("multiprocessors are known of products with one chip, and of no others", () => {
  const counts = {
    "NVIDIA H100 80GB HBM3": 132,
    "NVIDIA H100 NVL": 132,
    "NVIDIA H200": 132,
    "NVIDIA GH200 480GB": 132,
    "NVIDIA H100 PCIe": 114,
    "NVIDIA H20": 78,
    "NVIDIA H100 80GB HBM3 MIG 1g.10gb": 0,
    "NVIDIA A100-SXM4-80GB": 0,
    "NVIDIA GeForce RTX 2000": 0,
    "llvmpipe (LLVM 15.0.6, 256 bits)": 0,
  };
  for (const [name, count] of Object.entries(counts)) assertEquals([name, multiprocessorsOf(name)], [name, count]);
});
