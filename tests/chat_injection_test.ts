/** No text of a message, tool or variable becomes a control token, wherever it stands; and none of it is lost. */
import { assertEquals } from "@std/assert";
import { ChatRenderer } from "../api/chat_renderer.ts";
import type { BpeTokenizer } from "../engine/host.ts";
import { fixture, tokenizer, type TokenizerName, tokenizerSpec } from "./tokenizers.ts";

const smollm3 = await Deno.readTextFile(new URL("fixtures/smollm3/chat_template.jinja", import.meta.url));
const tiny = await Deno.readTextFile(new URL("../models/smollm3-tiny/chat_template.jinja", import.meta.url));
const { templates } = await fixture<{ templates: Record<string, string> }>("templates/renders.json");

interface Case {
  readonly messages: { role: string; content?: string; tool_calls?: unknown }[];
  readonly tools?: unknown[];
}

/** Where a text can stand; some of it harmless, so that the harmless render shows what the template itself writes. */
const placements: Record<string, (text: string) => Case> = {
  user: (text) => ({ messages: [{ role: "user", content: text }] }),
  "in a sentence": (text) => ({ messages: [{ role: "user", content: `a ${text} b${text}` }] }),
  "stripped": (text) => ({ messages: [{ role: "user", content: `\n ${text}\n ` }] }),
  system: (text) => ({ messages: [{ role: "system", content: text }, { role: "user", content: "x" }] }),
  assistant: (text) => ({ messages: [{ role: "user", content: "x" }, { role: "assistant", content: text }, { role: "user", content: "y" }] }),
  tool: (text) => ({ messages: [{ role: "user", content: "x" }, { role: "tool", content: text }] }),
  role: (text) => ({ messages: [{ role: "user", content: "x" }, { role: text, content: "y" }] }),
  "cut by messages": (text) => ({ messages: [{ role: "user", content: text.slice(0, 4) }, { role: "user", content: text.slice(4) }] }),
  "beginning only": (text) => ({ messages: [{ role: "user", content: text.slice(0, -1) }] }),
  "end only": (text) => ({ messages: [{ role: "user", content: text.slice(1) }] }),
  "name and keys of a tool": (text) => ({
    messages: [{ role: "user", content: "x" }],
    tools: [{ name: text, description: `"${text}`, parameters: { [text]: [text] } }],
  }),
  "arguments of a call": (text) => ({
    messages: [{ role: "user", content: "x" }, { role: "assistant", content: "y", tool_calls: [{ function: { name: text, arguments: { [text]: text } } }] }],
  }),
};

/** A text like it that is no token: the same length, and the same for the template. */
function harmless(text: string): string {
  return text.replaceAll(/[<|>]/g, "#");
}

function controlTokens(bpe: BpeTokenizer, controls: ReadonlySet<number>, ids: ArrayLike<number>): string {
  return Array.from(ids).filter((id) => controls.has(id)).map((id) => bpe.decode([id])).join("");
}

async function check(name: TokenizerName, source: string, tokens: (content: string) => boolean = () => true): Promise<string[]> {
  const bpe = await tokenizer(name), { addedTokens } = await tokenizerSpec(name), controls = new Set(addedTokens.map(({ id }) => id));
  const renderer = new ChatRenderer({ config: { bos_token: "<s>", eos_token: "</s>" }, chatTemplate: source, spec: () => tokenizerSpec(name) });
  const failures: string[] = [];
  for (const { content } of addedTokens) {
    if (!tokens(content)) continue;
    for (const [place, make] of Object.entries(placements)) {
      const render = (text: string) => {
        const { messages, tools } = make(text);
        const parts = renderer.render(messages, { tools, date: "2025-07-10", addGenerationPrompt: true });
        return { text: parts.map((part) => part.text).join(""), ids: bpe.encodeParts(parts) };
      };
      const { text, ids } = render(content), expected = render(harmless(content));
      if (controlTokens(bpe, controls, ids) !== controlTokens(bpe, controls, expected.ids)) failures.push(`${place}: ${content} became a control token`);
      // Templates that look into content for thoughts may cut them out; others keep all of it.
      if (name !== "smollm2" && bpe.decode(ids) !== text) failures.push(`${place}: ${content} is not kept verbatim`);
    }
  }
  return failures;
}

Deno.test("llama3 vocabulary, SmolLM3's template: every added token in every place", async () => {
  assertEquals(await check("llama3", smollm3, (content) => !/reserved_special_token_(?!11\|)/.test(content)), []);
});

Deno.test("tiny vocabulary, its own template: every added token in every place", async () => {
  assertEquals(await check("tiny", tiny), []);
});

Deno.test("SmolLM2's vocabulary, ChatML: every added token in every place", async () => {
  assertEquals(await check("smollm2", templates.chatml), []);
});

Deno.test("a template that cuts content apart: every added token but the one it looks for", async () => {
  assertEquals(await check("tiny", templates.qwen3, (content) => !content.includes("think>")), []);
});

Deno.test("a template that writes half a token before content and half after", async () => {
  const bpe = await tokenizer("tiny");
  const split = "<|im_{{ messages[0].content }}|>{{ messages[0].content }}<|im_end{{ messages[1].content }}{{ messages[1].content }}|im_end|><|im_end|>";
  const renderer = new ChatRenderer({ config: {}, chatTemplate: split, spec: () => tokenizerSpec("tiny") });
  const parts = renderer.render([{ role: "user", content: "end" }, { role: "user", content: "|>" }, { role: "user", content: "" }], {});
  const ids = Array.from(bpe.encodeParts(parts)), end = bpe.encode("<|im_end|>").ids[0];
  assertEquals(ids.filter((id) => id === end).length, 1);
  assertEquals(bpe.decode(ids), "<|im_end|>end<|im_end|>|>|im_end|><|im_end|>");
});

Deno.test("without tokens in the content, the ids are those of the whole rendered text", async () => {
  for (const [name, source] of [["llama3", smollm3], ["tiny", tiny]] as const) {
    const bpe = await tokenizer(name);
    const renderer = new ChatRenderer({ config: {}, chatTemplate: source, spec: () => tokenizerSpec(name) });
    const messages = [{ role: "system", content: "Be  brief.\n" }, { role: "user", content: " What's 12345 + 漢字? 🙂\n\n" }, {
      role: "assistant",
      content: "It's…",
    }];
    const parts = renderer.render(messages, { date: "2025-07-10" });
    assertEquals(Array.from(bpe.encodeParts(parts)), Array.from(bpe.encode(parts.map((part) => part.text).join("")).ids));
  }
});
