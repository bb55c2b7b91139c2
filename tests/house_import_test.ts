import { assertEquals, assertMatch } from "@std/assert";
import { fileURLToPath } from "node:url";

const MODULE = new URL("../mod.ts", import.meta.url);
const SCRIPT = (module: string) => `import * as smolder from "${module}"; console.log(typeof smolder.DeviceError);`;
const GENERATE = `import { pipeline } from "./bundle.js";
for (const threads of [1, 2]) {
  await using generator = await pipeline("text-generation", Deno.args[0], { threads });
  console.log((await generator("The sea", { maxNewTokens: 8, doSample: false }))[0].generatedText);
}`;

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

Deno.test("a bundle of mod.ts needs no permission either, and a model only that to read its files", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await deno(["bundle", "--quiet", "--platform", "deno", "-o", `${folder}/bundle.js`, fileURLToPath(MODULE)]);
    await Deno.writeTextFile(`${folder}/import.ts`, SCRIPT("./bundle.js"));
    assertEquals(await deno(["run", "--no-prompt", "--no-config", `${folder}/import.ts`]), "function");

    const model = fileURLToPath(new URL("../models/smollm3-tiny", import.meta.url));
    await Deno.writeTextFile(`${folder}/generate.ts`, GENERATE);
    const [one, two] = (await deno(["run", "--no-prompt", "--no-config", `--allow-read=${model}`, `${folder}/generate.ts`, model])).split("\n");
    assertMatch(one, /^The sea \w+/);
    assertEquals(two, one, "two threads say something else than one");
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
