/** Chat templates against Jinja2 in the environment of Transformers, and what a template may not do to a text. */
import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ChatTemplate, type TemplateInput } from "../engine/chat_template.ts";
import { fixture } from "./tokenizers.ts";

type Variables = Record<string, unknown>;
const text = (template: ChatTemplate, input: TemplateInput) => template.render(input).map((part) => part.text).join("");
const smollm3 = new ChatTemplate(await Deno.readTextFile(new URL("fixtures/smollm3/chat_template.jinja", import.meta.url)));
const date = new Date(2025, 6, 10);

Deno.test("SmolLM3: the published renders, byte for byte", async () => {
  const renders = await fixture<Record<string, { input: Variables; rendered: string }>>("smollm3/chat_template_renders.json");
  for (const { input, rendered } of Object.values(renders)) assertEquals(text(smollm3, { variables: input, date }), rendered);
  const example = await fixture<{ data: Variables; target: string }>("smollm3/chat_template.example.json");
  assertEquals(text(smollm3, { variables: example.data, date }), example.target);
});

const golden = await fixture<{
  date: string;
  variables: Variables;
  templates: Record<string, string>;
  inputs: Variables[];
  /** Null where Jinja2 itself fails. */
  renders: Record<string, ({ text?: string; refused?: string } | null)[]>;
}>("templates/renders.json");

for (const [name, source] of Object.entries(golden.templates)) {
  Deno.test(`${name}: renders as Jinja2 does`, () => {
    const template = new ChatTemplate(source);
    golden.inputs.forEach((input, i) => {
      const expected = golden.renders[name][i];
      if (expected === null) return;
      const variables = { tools: null, documents: null, add_generation_prompt: false, ...input };
      const render = () => text(template, { variables, trusted: golden.variables, date: new Date(golden.date) });
      if (expected.refused === undefined) assertEquals(render(), expected.text);
      else assertThrows(render, TypeError, expected.refused);
    });
  });
}

Deno.test("parts: what people wrote is literal, through whatever a template does to it", () => {
  const template = new ChatTemplate(
    "<s>{{ messages[0].content.strip().replace('b', 'B').upper() ~ '</s>' }}{{ messages | tojson }}" +
      "{% for key, value in extra.items() %}<{{ key }}:{{ value }}>{% endfor %}{{ extra | string }}{{ messages[0].content[1:3] }}{{ messages[0].content.split('<')[-1] }}",
  );
  const parts = template.render({ variables: { messages: [{ role: "user", content: ' a<b>"\n ' }], extra: { "k'<": "v>" } }, date });
  assertEquals(
    parts.map((part) => part.literal ? `⟦${part.text}⟧` : part.text).join(""),
    '<s>⟦A<⟧B⟦>"⟧</s>[{"⟦role⟧": "⟦user⟧", "⟦content⟧": "⟦ a<b>\\"\\n ⟧"}]<⟦k\'<⟧:⟦v>⟧>{"⟦k\'<⟧": \'⟦v>⟧\'}⟦a<b>"\n ⟧',
  );
});

Deno.test("marks leave string operations as Python has them", () => {
  const content = fc.string({ unit: fc.constantFrom("a", "b", " ", "\n", "\t", "<", "é", "🙂", "\u00a0", "\ufdd0", "\ufdd1"), maxLength: 12 });
  const operations: [string, (text: string) => string][] = [
    ["{{ c.strip() }}", (c) => c.replace(/^[\s]+|[\s]+$/g, "")],
    ["{{ c.lstrip('ab') }}", (c) => c.replace(/^[ab]+/, "")],
    ["{{ c.rstrip('\\n') }}", (c) => c.replace(/\n+$/, "")],
    ["{{ c.split('a') | join('-') }}", (c) => c.split("a").join("-")],
    ["{{ c.replace('ab', 'x') }}", (c) => c.replaceAll("ab", "x")],
    ["{{ c | length }}", (c) => String(Array.from(c).length)],
    ["{{ c[1:-1] }}", (c) => Array.from(c).slice(1, -1).join("")],
    ["{{ 'y' if 'ab' in c else 'n' }}", (c) => c.includes("ab") ? "y" : "n"],
    ["{{ 'y' if c == 'a' else 'n' }}", (c) => c === "a" ? "y" : "n"],
    ["{{ 'y' if c.startswith('a') and c.endswith('b') else 'n' }}", (c) => c.startsWith("a") && c.endsWith("b") ? "y" : "n"],
    ["{% for x in c %}[{{ x }}]{% endfor %}", (c) => Array.from(c, (x) => `[${x}]`).join("")],
  ];
  for (const [source, expected] of operations) {
    const template = new ChatTemplate(source);
    fc.assert(fc.property(content, (c) => assertEquals(text(template, { variables: { c }, date }), expected(c))), { numRuns: 100 });
  }
});

Deno.test("the final message can be continued, whether the template strips it or not", () => {
  const messages = [{ role: "user", content: "Hi" }, { role: "assistant", content: "The answer is " }];
  const keeps = new ChatTemplate("{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}");
  assertEquals(text(keeps, { variables: { messages }, date, continueFinalMessage: true }), "<user>Hi</><assistant>The answer is ");
  const strips = new ChatTemplate("{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}</>{% endfor %}");
  assertEquals(text(strips, { variables: { messages }, date, continueFinalMessage: true }), "<user>Hi</><assistant>The answer is");
  const parts = new ChatTemplate("{% for m in messages %}{{ m.content[-1].text }}{% endfor %}!");
  assertEquals(text(parts, { variables: { messages: [{ content: [{ type: "text", text: "a" }] }] }, date, continueFinalMessage: true }), "a");
  const drops = new ChatTemplate("nothing");
  assertThrows(() => drops.render({ variables: { messages }, date, continueFinalMessage: true }), TypeError, "does not write its content");
  assertThrows(() => keeps.render({ variables: { messages: [{ role: "user" }] }, date, continueFinalMessage: true }), TypeError, "has no text");
});

Deno.test("errors say what is wrong with a template", () => {
  assertThrows(() => new ChatTemplate("{% if %}"), SyntaxError, "Cannot parse the chat template");
  assertThrows(() => new ChatTemplate("{% for x in y %}"), SyntaxError, "Cannot parse the chat template");
  assertThrows(
    () => text(new ChatTemplate("{{ 'a' | nothing }}"), { variables: {}, date }),
    SyntaxError,
    "Cannot render the chat template: Unknown StringValue filter: nothing",
  );
  assertThrows(
    () => text(new ChatTemplate("{{ raise_exception(m) }}"), { variables: { m: "No <b>" }, date }),
    TypeError,
    "The chat template refuses its input: No <b>",
  );
});
