import { assertEquals, assertStringIncludes } from "@std/assert";
import { ChatSession } from "./chat_session.ts";

const reply = (session: ChatSession, line: string) => {
  const outcome = session.take(line);
  assertEquals(outcome.kind, "reply", line);
  return (outcome as { text: string }).text;
};

Deno.test("a line that is no command is a message", () => {
  const session = new ChatSession();
  for (const line of ["Hello", "1/2 is a half", "/ 2", "/Path/to is a folder", "!"]) assertEquals(session.take(line), { kind: "message", text: line });
});

Deno.test("settings by slash and by exclamation mark", () => {
  const session = new ChatSession({ parameters: { "top-k": 5 }, about: () => "Model: tiny" });
  reply(session, "/set parameter temperature 0.5");
  reply(session, "!set max_new_tokens=7 topP=0.25");
  reply(session, "/set system You are  kind");
  reply(session, "/nothink");
  assertEquals(session.parameters, { "top-k": 5, temperature: 0.5, "max-new-tokens": 7, "top-p": 0.25 });
  assertEquals(session.conversation, [{ role: "system", content: "You are  kind" }]);
  const shown = reply(session, "/show");
  for (const part of ["Model: tiny", "temperature 0.5", "You are  kind", "Reasoning: off", "Messages: 0"]) assertStringIncludes(shown, part);
  reply(session, "/set system");
  assertEquals(session.conversation, []);
});

Deno.test("mistakes are replies", () => {
  const session = new ChatSession();
  const cases: [string, string][] = [
    ["/hepl", "Unknown command /hepl, did you mean /help"],
    ["!x", "!help lists them"],
    ["/set", "/set needs"],
    ["/set parameter warmth 1", "Unknown parameter warmth"],
    ["/set parameter temperature hot", "temperature must be a number, got hot"],
    ["!set temperature=", "temperature must be a number"],
    ["/load /no/such/file", "/no/such/file"],
    ["!example x", "choose one of llama"],
  ];
  for (const [line, message] of cases) assertStringIncludes(reply(session, line), message);
  assertEquals(session.take("/exit"), { kind: "leave" });
  assertEquals(session.take("!example birds").kind, "message");
});

Deno.test("a saved chat can be taken up again", () => {
  const file = Deno.makeTempFileSync();
  const session = new ChatSession({ parameters: { seed: 3 }, think: true });
  session.messages.push({ role: "user", content: "Hi" }, { role: "assistant", content: "Hello" });
  assertStringIncludes(reply(session, `/save ${file}`), "Saved 2 messages");
  const other = new ChatSession();
  assertStringIncludes(reply(other, `/load ${file}`), "Loaded 2 messages");
  assertEquals([other.messages, other.parameters, other.think], [session.messages, { seed: 3 }, true]);
  reply(other, "/clear");
  assertEquals(other.messages, []);
  Deno.writeTextFileSync(file, "{}");
  assertStringIncludes(reply(other, `/load ${file}`), "expected chat_history");
  Deno.removeSync(file);
});
