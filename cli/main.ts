/**
 * The command line: `smolder COMMAND`.
 *
 * @module
 */
import { suggestion } from "./flags.ts";
import { prepareGpuDriver } from "./gpu_driver.ts";
import { ClosedPipe, writeError, writeOut } from "./terminal.ts";
import { UsageError } from "./usage_error.ts";

/** A command takes the arguments after its name and returns the exit status. Each is loaded when it is called for. */
const commands: Readonly<Record<string, { readonly help: string; readonly run: () => Promise<(args: readonly string[]) => Promise<number>> }>> = {
  generate: { help: "Text of one prompt", run: async () => (await import("./generate.ts")).generate },
  chat: { help: "A conversation in the terminal", run: async () => (await import("./chat.ts")).chat },
  inspect: { help: "What is in a model, and the memory it needs", run: async () => (await import("./inspect.ts")).inspect },
  bench: { help: "Prefill and decode speed in llama-bench's terms", run: async () => (await import("./bench.ts")).bench },
};

const help = `smolder COMMAND [FLAGS]: SmolLM3 on this machine

${Object.entries(commands).map(([name, command]) => `  ${name.padEnd(10)} ${command.help}`).join("\n")}

smolder COMMAND --help tells more. A model is a folder in Transformers format, a .gguf file, or embedded.
`;

/**
 * Runs a command.
 *
 * @returns Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
 */
export async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  try {
    if (name === "help" && rest.length > 0) return await main([rest[0], "--help"]);
    if (name === undefined || name === "help" || name === "--help" || name === "-h") {
      (name === undefined ? writeError : writeOut)(help);
      return name === undefined ? 2 : 0;
    }
    if (!Object.hasOwn(commands, name)) {
      throw new UsageError(`Unknown command ${name}${suggestion(name, Object.keys(commands), "")}: smolder --help lists them`);
    }
    const run = await commands[name].run();
    prepareGpuDriver();
    return await run(rest);
  } catch (error) {
    if (error instanceof ClosedPipe) return 0;
    const message = error instanceof Error ? error.message : String(error);
    const isUsage = error instanceof UsageError;
    writeError(args.includes("--verbose") && error instanceof Error && !isUsage ? `${error.stack}\n` : `error: ${message}\n`);
    return isUsage ? 2 : 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
