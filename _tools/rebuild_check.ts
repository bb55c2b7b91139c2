/**
 * Builds every generated module again and compares it with what is committed.
 *
 * @module
 */
const ROOT = new URL("../", import.meta.url);

function git(...args: string[]): string {
  const { success, stdout, stderr } = new Deno.Command("git", { args, cwd: ROOT }).outputSync();
  if (!success) throw new Error(`Cannot run git ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

const generated = git("ls-files", "*.gen.*").trim().split("\n");
const before = generated.map((path) => Deno.readTextFileSync(new URL(path, ROOT)));
const { success } = await new Deno.Command(Deno.execPath(), { args: ["task", "build"], cwd: ROOT, stdin: "null" }).spawn().status;
if (!success) Deno.exit(1);

const changed = generated.filter((path, i) => Deno.readTextFileSync(new URL(path, ROOT)) !== before[i]);
for (const path of changed) console.error(`${path}: another build of the same sources differs`);
Deno.exit(changed.length > 0 ? 1 : 0);
