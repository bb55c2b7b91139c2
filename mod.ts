/**
 * SmolLM3 on Deno: Transformers folders and GGUF files on the CPU and the GPU.
 *
 * Importing this module needs no permission, reads nothing and starts nothing.
 *
 * @example
 * ```ts
 * import { AutoModelForCausalLM, AutoTokenizer } from "@smolder/smolder";
 *
 * const tokenizer = await AutoTokenizer.fromPretrained("embedded");
 * await using model = await AutoModelForCausalLM.fromPretrained("embedded");
 * const prompt = tokenizer.applyChatTemplate([{ role: "user", content: "What is rain?" }], { addGenerationPrompt: true });
 * let answer = "";
 * for await (const { text } of model.stream({ ...prompt, doSample: false, maxNewTokens: 9 })) answer += text;
 * console.log(answer); // Rain is a natural phenomenon that occurs
 * ```
 *
 * @module
 */
export { AutoConfig, type ConfigOptions, SmolLM3Config, type SmolLM3ConfigOptions } from "./api/auto_config.ts";
export {
  AutoTokenizer,
  type BatchEncoding,
  type BatchOptions,
  type ChatTemplateOptions,
  type DecodeOptions,
  type Message,
  type TokenizerOptions,
} from "./api/auto_tokenizer.ts";
export { BitsAndBytesConfig, type BitsAndBytesOptions, type QuantizationOption } from "./api/bits_and_bytes_config.ts";
export { AutoModelForCausalLM, type CausalLM, SmolLM3ForCausalLM } from "./api/causal_lm.ts";
export type { DeviceName } from "./api/device.ts";
export { Engine, type GenerateRequest } from "./api/engine.ts";
export type { CausalLMOutput, ForwardInputs, Tensor, TokenIds } from "./api/forward.ts";
export type { GenerateOptions, GenerateOutput, StreamOptions, StreamPiece } from "./api/generate.ts";
export type { LoadOptions, LoadProgress } from "./api/load_model.ts";
export { pipeline, type TextGenerationInput, type TextGenerationOptions, type TextGenerationOutput, type TextGenerationPipeline } from "./api/pipeline.ts";
export { type Streamer, TextStreamer, type TextStreamerOptions, type TokenDecoder } from "./api/text_streamer.ts";
export { type CacheType, type Device, DeviceError } from "./engine/backend.ts";
export type { BlockPool } from "./engine/block_pool.ts";
export type { LogitsObserver, LogitsProcessor } from "./engine/completion.ts";
export type { RopeParameters, SmolLM3Config as ModelConfig } from "./engine/config.ts";
export type { EngineRequest } from "./engine/engine_core.ts";
export type { EngineMetrics } from "./engine/engine_stats.ts";
export type { FourBitCode } from "./engine/formats.ts";
export { GenerationConfig } from "./engine/generation_config.ts";
export type { GenerationOptions } from "./engine/generation_options.ts";
export type { Detokenizer, SampledToken } from "./engine/host.ts";
export { type Activation, activations } from "./engine/program.ts";
export type { CompletionOutput, FinishReason, RequestOutput, RequestTimings } from "./engine/request_output.ts";
export type { RequestStream } from "./engine/request_stream.ts";
export { type RequestOutputKind, type SamplingOptions, SamplingParams } from "./engine/sampling_params.ts";
export type { ScheduledStep } from "./engine/scheduled_step.ts";
export { Scheduler, type SchedulerOptions } from "./engine/scheduler.ts";
export type { Sequence, SequenceStatus } from "./engine/sequence.ts";
export type { StoppingCriterion } from "./engine/stop_checker.ts";
