/**
 * Loads the model that the flags name, with progress where somebody watches.
 *
 * @module
 */
import type { CausalLM } from "../api/causal_lm.ts";
import type { LoadOptions, LoadProgress } from "../api/load_model.ts";
import type { commonFlags, threadsFlag, Values } from "./flags.ts";
import { formatBytes, StatusLine, styled, writeError } from "./terminal.ts";

/** Flags that say which model and how. */
export type ModelValues = Values<typeof commonFlags> & Values<typeof threadsFlag>;

/** Load options of the flags. */
export function loadOptions(values: ModelValues): LoadOptions {
  const { device, dtype, quantization, activations, threads, offline } = values;
  return { device, dtype, quantization, activations, threads, localFilesOnly: offline } as LoadOptions;
}

/** @param source Overrides `--model`. */
export async function loadCausalLM(values: ModelValues, signal: AbortSignal, source = values.model ?? "embedded"): Promise<CausalLM> {
  const { AutoModelForCausalLM } = await import("../api/causal_lm.ts");
  const status = new StatusLine();
  try {
    const model = await AutoModelForCausalLM.fromPretrained(source, {
      ...loadOptions(values),
      signal,
      onProgress: (progress) => status.show(describe(source, progress)),
    });
    status.clear();
    if (values.verbose) writeError(styled("dim", `${model.device}: ${model.deviceReason}\n`));
    return model;
  } finally {
    status.clear();
  }
}

/** A line such as `Loading embedded [#####-----] 50% 6.6 MiB of 13.3 MiB`. */
function describe(source: string, { loadedBytes, totalBytes }: LoadProgress): string {
  const share = totalBytes > 0 ? Math.min(1, loadedBytes / totalBytes) : 0, width = 24, full = Math.round(share * width);
  return `Loading ${source} [${"#".repeat(full)}${"-".repeat(width - full)}] ${Math.round(share * 100)}% ${formatBytes(loadedBytes)} of ${
    formatBytes(totalBytes)
  }`;
}
