/**
 * What the model crate exports (`wasm/model/src/exports.rs`) and imports; addresses and sizes are bytes.
 *
 * @module
 */

/** Exports of an instance. Sizes come back as int32: read them with `>>> 0`. */
export interface ModelExports {
  readonly __stack_pointer: WebAssembly.Global;
  run(code: number, words: number, context: number, batch: number, thread: number, own: number): number;
  pack(format: number, source: number, firstRow: number, rows: number, totalRows: number, cols: number, to: number): void;
  packed_bytes(format: number, rows: number, cols: number): number;
  prepared_bytes(rows: number, cols: number): number;
  private_bytes(cols: number, group: number, headDim: number): number;
  partial_bytes(threads: number, context: number, group: number, headDim: number): number;
}

/** What a module of the crate imports: its memory and, with threads, how to sleep in it. */
export function modelImports(module: WebAssembly.Module, memory: WebAssembly.Memory): WebAssembly.Imports {
  const words = new Int32Array(memory.buffer);
  const imports = {
    memory,
    // wasm-bindgen would fill a table here; the crate has no JavaScript objects, so it stays empty.
    __wbindgen_init_externref_table() {},
    wait: (address: number, expected: number) => void Atomics.wait(words, address / 4, expected),
    notify: (address: number) => void Atomics.notify(words, address / 4),
  };
  // wasm-bindgen names its import module after the crate; ours is `env`. One object serves both.
  const names = new Set(WebAssembly.Module.imports(module).map((wanted) => wanted.module));
  return Object.fromEntries([...names].map((name) => [name, imports]));
}
