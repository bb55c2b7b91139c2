/**
 * A few lines that read one tensor, so that tests of the loader's users do not rest on the loader.
 *
 * @module
 */

/** @returns Values as float32, from f32, f16 or bf16. */
export function readSafetensors(url: URL, name: string): { data: Float32Array; shape: number[] } {
  const file = Deno.readFileSync(url), view = new DataView(file.buffer);
  const headerBytes = Number(view.getBigUint64(0, true));
  const { dtype, shape, data_offsets: [start, end] } = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + headerBytes)))[name];
  const size = dtype === "F32" ? 4 : 2, at = (i: number) => 8 + headerBytes + start + i * size;
  const read = (i: number) => {
    if (dtype === "F32") return view.getFloat32(at(i), true);
    if (dtype === "F16") return view.getFloat16(at(i), true);
    return new Float32Array(new Uint32Array([view.getUint16(at(i), true) << 16]).buffer)[0];
  };
  return { data: Float32Array.from({ length: (end - start) / size }, (_, i) => read(i)), shape };
}
