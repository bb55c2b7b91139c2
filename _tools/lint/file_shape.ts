/// <reference lib="deno.unstable" />
/**
 * How files are named and how long they may be.
 *
 * @module
 */
import { basename } from "node:path/posix";
import { repositoryPath } from "./place.ts";

/** Names that say nothing about what is inside. */
const EMPTY_NAMES = new Set(["utils.ts", "util.ts", "types.ts", "index.ts", "helpers.ts", "common.ts", "misc.ts"]);
/** Lines after which a file holds more than one thing. */
export const MAX_LINES = 400;

/** File names are snake_case and say what is inside. */
export const fileName: Deno.lint.Rule = {
  create(context) {
    const name = basename(repositoryPath(context.filename));
    const message = EMPTY_NAMES.has(name)
      ? `${name} says nothing: name the file for the one thing it holds`
      : /^[a-z0-9]+(_[a-z0-9]+)*(\.d|\.gen)*\.ts$/.test(name)
      ? null
      : `File names are snake_case: ${name}`;
    return { Program: (node) => void (message !== null && context.report({ node, message })) };
  },
};

/** No file is longer than {@link MAX_LINES}. */
export const fileLength: Deno.lint.Rule = {
  create(context) {
    return {
      Program(node) {
        const lines = context.sourceCode.text.trimEnd().split("\n").length;
        if (lines > MAX_LINES) context.report({ node, message: `${lines} lines: a file holds one API or one kernel, at most ${MAX_LINES} lines` });
      },
    };
  },
};
