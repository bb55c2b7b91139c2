/**
 * A conversation as tokens.
 *
 * @module
 */
import type { AutoTokenizer } from "../api/auto_tokenizer.ts";

/** @param think Whether the model reasons first; undefined: as the template decides. */
export function conversationTokens(tokenizer: AutoTokenizer, messages: { role: string; content: string }[], think: boolean | undefined): readonly number[] {
  return tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true, ...(think !== undefined && { enableThinking: think }) }).inputIds[0];
}
