import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";

const MODULE = new URL("../mod.ts", import.meta.url);
const SCRIPT = (module: string) => `import * as smolder from "${module}"; console.log(typeof smolder.DeviceError);`;

async function deno(args: string[], options: Deno.CommandOptions = {}): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, stdin: "null", ...options }).output();
  const text = new TextDecoder().decode(stdout);
  assertEquals(success, true, `deno ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return text.trim();
}

Deno.test("importing mod.ts needs no permission and starts nothing", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/main.ts`, SCRIPT(MODULE.href));
    assertEquals(await deno(["run", "--no-prompt", "--no-config", "--import-map", await importMap(folder), `${folder}/main.ts`]), "function");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a bundle of mod.ts needs no permission either", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await deno(["bundle", "--quiet", "--platform", "deno", "-o", `${folder}/bundle.js`, fileURLToPath(MODULE)]);
    await Deno.writeTextFile(`${folder}/main.ts`, SCRIPT("./bundle.js"));
    assertEquals(await deno(["run", "--no-prompt", "--no-config", `${folder}/main.ts`]), "function");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** The imports of deno.json, for a script that lies elsewhere. */
async function importMap(folder: string): Promise<string> {
  const { imports } = JSON.parse(await Deno.readTextFile(new URL("../deno.json", import.meta.url)));
  const npm = Object.entries(imports).filter(([, target]) => String(target).startsWith("npm:"));
  await Deno.writeTextFile(`${folder}/import_map.json`, JSON.stringify({ imports: Object.fromEntries(npm) }));
  return `${folder}/import_map.json`;
}
