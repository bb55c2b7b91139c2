/**
 * Finds a Rust that can compile to wasm32: Debian's rustc-web under /usr/bin, set up by `.ci/wasm_toolchain.sh`, with which the committed modules
 * are built; or else the one on the PATH.
 *
 * @module
 */

/** Whether the standard library of `rustc` for wasm32 lies where it looks for it. */
function targetsWasm(rustc: string): boolean {
  try {
    const { success, stdout } = new Deno.Command(rustc, { args: ["--print", "target-libdir", "--target", "wasm32-unknown-unknown"], stderr: "null" })
      .outputSync();
    return success && [...Deno.readDirSync(new TextDecoder().decode(stdout).trim())].some((entry) => entry.name.startsWith("libstd-"));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * @returns Variables that make cargo and wasm-pack use that Rust: none for the one on the PATH.
 * @throws {Error} when there is neither.
 */
export function wasmToolchain(): Record<string, string> {
  if (targetsWasm("/usr/bin/rustc")) {
    return {
      PATH: `/usr/bin:${Deno.env.get("PATH")}`,
      RUSTC: "/usr/bin/rustc",
      CARGO: "/usr/bin/cargo",
      CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER: "wasm-ld",
    };
  }
  if (targetsWasm("rustc")) return {};
  throw new Error(
    "No Rust here compiles to wasm32-unknown-unknown: the Wasm modules need rustup target add wasm32-unknown-unknown, or .ci/wasm_toolchain.sh on Debian",
  );
}
