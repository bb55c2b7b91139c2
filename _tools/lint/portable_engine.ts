/// <reference lib="deno.unstable" />
/**
 * The engine runs wherever JavaScript runs.
 *
 * @module
 */
import { isTest, repositoryPath } from "./place.ts";

/** `engine/` touches no machine: no `Deno`, no `Worker`, no `navigator.gpu`; its loader alone may use `Deno`. */
export const portableEngine: Deno.lint.Rule = {
  create(context) {
    const file = repositoryPath(context.filename);
    if (!file.startsWith("engine/") || isTest(file)) return {};
    const inLoader = file.startsWith("engine/loader/");
    const report = (node: Deno.lint.Node, what: string) =>
      context.report({ node, message: `engine/ does not use ${what}: it belongs to a backend, the loader or api/` });
    return {
      "Identifier[name='Deno']"(node: Deno.lint.Identifier) {
        if (!inLoader) report(node, "Deno");
      },
      "Identifier[name='Worker']": (node: Deno.lint.Identifier) => report(node, "Worker"),
      "MemberExpression[object.name='navigator'][property.name='gpu']": (node: Deno.lint.MemberExpression) => report(node, "navigator.gpu"),
    };
  },
};
