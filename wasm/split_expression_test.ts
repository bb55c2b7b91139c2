import { assertEquals, assertThrows } from "@std/assert";
import { rewriteSplitExpression } from "./split_expression.ts";

Deno.test("classes are spelled out, inside and outside of brackets", () => {
  assertEquals(rewriteSplitExpression("\\p{Zl}"), "[\\x{2028}-\\x{2028}]");
  assertEquals(rewriteSplitExpression("[a\\p{Zl}]+\\["), "[a\\x{2028}-\\x{2028}]+\\[");
  assertEquals(rewriteSplitExpression("\\p{^Zl}"), rewriteSplitExpression("\\P{Zl}"));
  assertEquals(rewriteSplitExpression("\\s"), rewriteSplitExpression("\\p{White_Space}"));
  assertEquals(rewriteSplitExpression("\\S"), rewriteSplitExpression("\\P{White_Space}"));
});

Deno.test("white space before a word loses its lookahead", () => {
  const space = rewriteSplitExpression("\\s");
  assertEquals(rewriteSplitExpression("a|\\s+(?!\\S)|\\s+"), `a|${space}+\\z|(?P<shortened>${space}+${space})|${space}+`);
});

Deno.test("what cannot be rewritten is named", () => {
  assertThrows(() => rewriteSplitExpression("a|b(?=c)"), SyntaxError, "lookaround is not supported, but for \\s+(?!\\S): b(?=c)");
  assertThrows(() => rewriteSplitExpression("(?<!a)b"), SyntaxError, "lookaround");
  for (const pattern of ["a++", "\\p{L}?+", "[ab]*+", "a{2}+"]) assertThrows(() => rewriteSplitExpression(pattern), SyntaxError, "possessive");
  for (const pattern of ["a+?", "[+]+", "\\++", "(?:a)+", "\\p{Zl}+"]) rewriteSplitExpression(pattern);
  assertThrows(() => rewriteSplitExpression("\\p{Nothing}"), SyntaxError);
});
