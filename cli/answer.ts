/**
 * One answer of a model, streamed: reasoning told from the rest, ended at stop strings, timed.
 *
 * @module
 */
import type { CausalLM } from "../api/causal_lm.ts";
import type { GenerationOptions } from "../engine/generation_options.ts";
import type { Values } from "./flags.ts";
import type { samplingFlags } from "./flags.ts";
import { ReasoningSplitter } from "./reasoning.ts";
import { StopFilter } from "./stop_filter.ts";

/** What came of it. */
export interface Answer {
  /** Reasoning included, special tokens and stop string left out. */
  readonly text: string;
  /** The text after the reasoning. */
  readonly answer: string;
  readonly tokenIds: readonly number[];
  readonly finishReason: "stop" | "length" | "aborted";
  /** Until the first token. */
  readonly prefillMs: number;
  /** From the first token to the last. */
  readonly decodeMs: number;
}

/** Where the text goes. */
export interface AnswerSink {
  onAnswer(text: string): void;
  onReasoning(text: string): void;
}

/** Sampling flags as generation options; what is not given is the model's choice. */
export function generationOptions(values: Partial<Values<typeof samplingFlags>>): GenerationOptions {
  const options: GenerationOptions = { maxNewTokens: values["max-new-tokens"], seed: values.seed };
  if (values.temperature === 0) return { ...options, doSample: false };
  const sampling = { temperature: values.temperature, topK: values["top-k"], topP: values["top-p"], minP: values["min-p"] };
  return Object.values(sampling).some((value) => value !== undefined) ? { ...options, ...sampling, doSample: true } : options;
}

/** Answers a prompt; the template may have opened the reasoning in it. */
export async function answer(
  model: Pick<CausalLM, "stream" | "tokenizer">,
  promptTokenIds: readonly number[],
  options: GenerationOptions & { readonly stop?: readonly string[]; readonly signal: AbortSignal },
  sink: AnswerSink,
): Promise<Answer> {
  const { stop, signal, ...generation } = options;
  const isInside = /<think>\s*$/.test((await model.tokenizer()).decode(promptTokenIds.slice(-8)));
  const filter = new StopFilter(stop ?? []), splitter = new ReasoningSplitter(isInside);
  const tokenIds: number[] = [];
  let text = "", answerText = "", hasReasoning = false, finishReason: Answer["finishReason"] = "aborted";
  const emit = (piece: string, isLast = false) => {
    text += piece;
    for (const told of isLast ? [splitter.push(piece), splitter.flush()] : [splitter.push(piece)]) {
      answerText += told.answer;
      hasReasoning ||= told.reasoning !== "";
      if (told.reasoning !== "") sink.onReasoning(told.reasoning);
      if (told.answer === "") continue;
      if (hasReasoning && answerText === told.answer) sink.onReasoning("\n\n"); // Where both are shown, the answer begins a line.
      sink.onAnswer(told.answer);
    }
  };
  const startMs = performance.now();
  let firstMs: number | undefined, lastMs = startMs;
  try {
    for await (const piece of model.stream({ inputIds: promptTokenIds, ...generation, signal })) {
      lastMs = performance.now();
      firstMs ??= lastMs;
      tokenIds.push(piece.tokenId);
      emit(filter.push(piece.text));
      if (filter.stopped) finishReason = "stop";
      else if (piece.finishReason !== undefined) finishReason = piece.finishReason;
      if (filter.stopped) break;
    }
  } catch (error) {
    if (error !== signal.reason) throw error;
  }
  emit(filter.flush(), true);
  if (hasReasoning && answerText === "") sink.onReasoning("\n"); // Cut while it reasoned: what is said next begins a line.
  firstMs ??= lastMs;
  return { text, answer: answerText, tokenIds, finishReason, prefillMs: firstMs - startMs, decodeMs: lastMs - firstMs };
}
