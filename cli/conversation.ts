/**
 * A conversation as tokens.
 *
 * @module
 */
import type { AutoTokenizer } from "../api/auto_tokenizer.ts";

/** @throws {TypeError} when a model cannot talk: it has no chat template. */
export function requireTemplate({ chatTemplate }: Pick<AutoTokenizer, "chatTemplate">): void {
  if (chatTemplate === null) throw new TypeError("The model has no chat template, so it cannot chat: smolder generate without --chat goes on with a text");
}

/** @param think Whether the model reasons first; undefined: as the template decides. */
export function conversationTokens(tokenizer: AutoTokenizer, messages: { role: string; content: string }[], think: boolean | undefined): readonly number[] {
  requireTemplate(tokenizer);
  return tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true, ...(think !== undefined && { enableThinking: think }) }).inputIds[0];
}
