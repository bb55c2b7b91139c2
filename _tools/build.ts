/**
 * Runs every `_tools/build_*.ts`: each turns sources into generated, committed modules.
 *
 *     deno task build           # regenerate
 *     deno task build --check   # is what is committed made of these sources?
 *     deno task build shaders   # only those whose name contains a word
 *
 * @module
 */
const words = Deno.args.filter((arg) => !arg.startsWith("-"));
const flags = Deno.args.filter((arg) => arg.startsWith("-"));
const folder = new URL("./", import.meta.url);
const builders = [...Deno.readDirSync(folder)].map((entry) => entry.name).filter((name) => /^build_\w+\.ts$/.test(name)).sort();

let failed = false;
for (const name of builders) {
  if (words.length > 0 && !words.some((word) => name.includes(word))) continue;
  const { success } = await new Deno.Command(Deno.execPath(), { args: ["run", "-A", new URL(name, folder).href, ...flags], stdin: "null" })
    .spawn().status;
  console.log(`${name}: ${success ? "ok" : "failed"}`);
  failed ||= !success;
}
Deno.exit(failed ? 1 : 0);
