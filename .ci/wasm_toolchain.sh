#!/usr/bin/env bash
# Sets up Rust for Wasm on Debian 12 where rustup has no wasm32 target. About 5 minutes on 2 cores the first time, nothing afterwards.
# deno task build finds the result by itself (_tools/wasm_toolchain.ts).
set -euo pipefail

wasm_bindgen_version=0.2.130 # equal to the crate's in wasm/*/Cargo.toml

# Debian builds this Rust for Firefox and Chromium; std for wasm32 is built from its sources below.
if ! [ -x /usr/bin/rustc ] || ! [ -d /usr/lib/rustlib/src ] || ! command -v wasm-ld >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq rustc-web cargo-web rust-web-src lld >/dev/null
fi

# Build std once for wasm32 and put it where rustc looks, so that plain cargo and wasm-pack find the target.
lib="$(/usr/bin/rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown/lib"
if ! compgen -G "$lib/libstd-*.rlib" >/dev/null; then
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  mkdir "$scratch/src"
  echo '#![no_std]' >"$scratch/src/lib.rs"
  printf '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2021"\n[profile.release]\npanic = "abort"\n' >"$scratch/Cargo.toml"
  (cd "$scratch" && RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 /usr/bin/cargo build --quiet --release --target wasm32-unknown-unknown -Zbuild-std=std,panic_abort)
  mkdir -p "$lib"
  cp "$scratch"/target/wasm32-unknown-unknown/release/deps/*.rlib "$lib"/
  rm -f "$lib"/libempty*
fi

export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
# Unoptimised: they run for a second and are built in half the time. No --locked for wasm-bindgen-cli, whose lock names a withdrawn crate.
if [ "$(wasm-bindgen --version 2>/dev/null)" != "wasm-bindgen $wasm_bindgen_version" ]; then
  cargo install --quiet --debug wasm-bindgen-cli --version "$wasm_bindgen_version"
fi
command -v wasm-pack >/dev/null || cargo install --quiet --debug --locked wasm-pack
