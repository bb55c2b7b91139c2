import { assertEquals, assertRejects } from "@std/assert";
import { openCheckpoint } from "../engine/loader/checkpoint.ts";
import { hubCacheFolder, parseHubId } from "../engine/loader/hub_cache.ts";
import { RemoteFolder } from "../engine/loader/file_store.ts";
import { type ModelSource, resolveSource, splitPart } from "../engine/loader/source.ts";
import { openTokenizerFiles, specialToken } from "../engine/loader/tokenizer_files.ts";
import { fixturePath } from "./load_model.ts";

const tiny = fixturePath("gguf/smollm3-tiny-Q4_K_M.gguf");
const where = (source: ModelSource) => source.kind === "gguf" ? source.files.path(source.file) : source.files.path("config.json");

/** Runs with a folder of files, given as text or as the path of a file to link to. */
async function withFolder(files: Record<string, string>, run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, text] of Object.entries(files)) {
      await Deno.mkdir(`${folder}/${name}/..`.replace(/[^/]+\/\.\.$/, ""), { recursive: true });
      if (text.startsWith("/")) await Deno.symlink(text, `${folder}/${name}`);
      else await Deno.writeTextFile(`${folder}/${name}`, text);
    }
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("embedded is the tiny model of the package, with tokenizer, template and generation config", async () => {
  const checkpoint = await openCheckpoint(await resolveSource("embedded"));
  assertEquals([checkpoint.config.hiddenSize, checkpoint.tensors.size], [256, 74]);
  assertEquals(checkpoint.generationConfig.eos_token_id, [4087, 4085]);
  assertEquals(checkpoint.tokenizer.chatTemplate?.includes("<|im_start|>"), true);
  assertEquals((await checkpoint.tokenizer.spec()).merges.length, 3828);
  checkpoint.close();
});

Deno.test("folders, .gguf files and file: URLs are found", async () => {
  const base = fixturePath("tiny_models/base");
  assertEquals(where(await resolveSource(base)), `${base}/config.json`);
  assertEquals(where(await resolveSource(`file://${base}/`)), `${base}/config.json`);
  assertEquals(where(await resolveSource(tiny)), tiny);
  await withFolder({ "one-00001-of-00002.gguf": "x", "one-00002-of-00002.gguf": "x" }, async (folder) => {
    assertEquals(where(await resolveSource(folder)), `${folder}/one-00001-of-00002.gguf`);
    await assertRejects(() => resolveSource(`${folder}/one-00002-of-00002.gguf`), TypeError, "it is part 2 of 2; give the first, one-00001-of-00002.gguf");
  });
});

Deno.test("what is not there, or is no model, is refused; the message says what would be accepted", async () => {
  const { NotFound } = Deno.errors;
  await assertRejects(
    () => resolveSource("./no/such"),
    NotFound,
    "Cannot load ./no/such: there is no such file or folder; a model is a folder in Transformers format",
  );
  await assertRejects(() => resolveSource("no-such.gguf"), NotFound, "Cannot load no-such.gguf");
  await assertRejects(() => resolveSource("https://example.org/a.gguf"), TypeError, "downloading is not built in yet");
  await assertRejects(() => resolveSource(fixturePath("tiny_models/base/model.safetensors")), TypeError, "give the folder that has its config.json");
  await withFolder({ "a.gguf": "x", "b.gguf": "x" }, async (folder) => {
    await assertRejects(() => resolveSource(folder), TypeError, "it holds several GGUF files, name one: a.gguf, b.gguf");
    await assertRejects(() => resolveSource("no/such", { cacheDir: folder }), NotFound, `revision main of no/such is not in the Hugging Face cache ${folder}`);
  });
  await withFolder({ "readme.md": "x" }, async (folder) => {
    await assertRejects(() => resolveSource(folder), NotFound, "the folder has neither config.json nor a .gguf file");
  });
});

Deno.test("models of the Hugging Face cache are found by revision, file and quantization", async () => {
  const model = "models--org--name", snapshot = `${model}/snapshots/abc123`;
  const files = {
    [`${model}/refs/main`]: "abc123\n",
    [`${snapshot}/m-Q8_0.gguf`]: tiny,
    [`${snapshot}/m-Q4_K_M.gguf`]: tiny,
    [`${model}/refs/refs/pr/1`]: "abc123",
  };
  await withFolder(files, async (cacheDir) => {
    const file = async (source: string, options = {}) => where(await resolveSource(source, { cacheDir, ...options })).slice(`${cacheDir}/${snapshot}/`.length);
    assertEquals(await file("org/name"), "m-Q4_K_M.gguf");
    assertEquals(await file("org/name:q8_0"), "m-Q8_0.gguf");
    assertEquals(await file("org/name@main:m-Q8_0.gguf"), "m-Q8_0.gguf");
    assertEquals(await file("org/name@abc123"), "m-Q4_K_M.gguf");
    assertEquals(await file("org/name@refs/pr/1"), "m-Q4_K_M.gguf");
    assertEquals(await file("org/name", { revision: "abc123" }), "m-Q4_K_M.gguf");
    await assertRejects(() => file("org/name:Q2_K"), Deno.errors.NotFound, "of it the cache has m-Q4_K_M.gguf, m-Q8_0.gguf");
    await assertRejects(() => file("org/name@dev"), Deno.errors.NotFound, "revision dev of org/name is not in the Hugging Face cache");
    const checkpoint = await openCheckpoint(await resolveSource("org/name", { cacheDir }));
    assertEquals(checkpoint.config.hiddenSize, 256);
    checkpoint.close();
  });
});

Deno.test("hub ids lead nowhere else, and the cache's folder follows the environment", () => {
  assertEquals(parseHubId("a/b@v1:Q4_0"), { owner: "a", name: "b", revision: "v1", variant: "Q4_0" });
  for (const source of ["a", "a/b/c", "../b", "a/..", "a/b@../c", "a/b:../c.gguf", "/a/b", "a/b@", "C:\\a/b"]) assertEquals(parseHubId(source), null, source);
  const folder = (variables: Record<string, string>) => hubCacheFolder((name) => variables[name]);
  assertEquals(folder({ HF_HUB_CACHE: "/c", HF_HOME: "/h" }), "/c");
  assertEquals(folder({ HF_HOME: "/h", HOME: "/u" }), "/h/hub");
  assertEquals(folder({ XDG_CACHE_HOME: "/x", HOME: "/u" }), "/x/huggingface/hub");
  assertEquals(folder({ HOME: "/u" }), "/u/.cache/huggingface/hub");
});

Deno.test("parts of split files are told by their names", () => {
  assertEquals([splitPart("m-00002-of-00010.gguf")?.number, splitPart("m-00002-of-00010.gguf")?.name(10)], [2, "m-00010-of-00010.gguf"]);
  assertEquals(splitPart("m-2-of-3.gguf"), null);
});

Deno.test("a package imported over http fetches its files", async () => {
  const folder = fixturePath("tiny_models/base");
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async (request) => {
    const name = new URL(request.url).pathname.slice(1);
    if (name === "tokenizer.json") return new Response("broken", { status: 500 });
    return await Deno.readFile(`${folder}/${name}`).then((bytes) => new Response(bytes), () => new Response("none", { status: 404 }));
  });
  const files = new RemoteFolder(new URL(`http://127.0.0.1:${server.addr.port}/`));
  const checkpoint = await openCheckpoint({ kind: "transformers", name: "embedded", files });
  assertEquals((await checkpoint.readRows("model.norm.weight", 0, 1)).length, 256);
  await assertRejects(() => checkpoint.tokenizer.spec(), Deno.errors.Http, "status 500");
  await assertRejects(() => files.open("none"), Deno.errors.NotFound, "there is no such file");
  await server.shutdown();
});

Deno.test("shards are read through their index; what it names must be there", async () => {
  const base = fixturePath("tiny_models/base"), config = await Deno.readTextFile(`${base}/config.json`), index = "model.safetensors.index.json";
  const shard = "model-00001-of-00001.safetensors", weights = { [shard]: `${base}/model.safetensors`, "config.json": config };
  const open = async (files: Record<string, string>, run: (open: () => ReturnType<typeof openCheckpoint>) => Promise<unknown>) =>
    await withFolder(files, async (folder) => void await run(async () => openCheckpoint(await resolveSource(folder))));
  await open({ ...weights, [index]: JSON.stringify({ weight_map: { "model.norm.weight": shard } }) }, async (open) => {
    const checkpoint = await open();
    assertEquals([...checkpoint.tensors.keys()], ["model.norm.weight"]);
    checkpoint.close();
  });
  // deno-lint-ignore no-explicit-any -- constructors of errors
  const cases: [string, any, string][] = [
    [
      JSON.stringify({ weight_map: { a: "other.safetensors" } }),
      Deno.errors.NotFound,
      "other.safetensors: there is no such file; model.safetensors.index.json names it",
    ],
    [JSON.stringify({ weight_map: { a: shard } }), TypeError, `${shard} has no tensor a`],
    [JSON.stringify({ weight_map: { a: "../x.safetensors" } }), TypeError, "must be the name of a .safetensors file"],
    [JSON.stringify({ weight_map: { a: 1 } }), TypeError, "must be the name of a .safetensors file, got 1"],
    [JSON.stringify({ weight_map: [] }), TypeError, "weight_map must be an object"],
    ["{", SyntaxError, `${index}: `],
  ];
  for (const [text, errorClass, message] of cases) await open({ ...weights, [index]: text }, (open) => assertRejects(open, errorClass, message));
  await open({ "config.json": config }, (open) => assertRejects(open, Deno.errors.NotFound, "weights in other formats, such as pytorch_model.bin"));
  await open({ "tokenizer.json": "{}" }, (open) => assertRejects(open, Deno.errors.NotFound, "config.json: there is no such file"));
});

Deno.test("the tokenizer is there without weights; templates by file, string and list", async () => {
  const template = async (files: Record<string, string>) => {
    let found: string | null = null;
    await withFolder({ "tokenizer.json": "{", ...files }, async (folder) => {
      const tokenizer = await openTokenizerFiles(await resolveSource(folder));
      found = tokenizer.chatTemplate;
      await assertRejects(() => tokenizer.spec(), SyntaxError, "tokenizer.json");
    });
    return found;
  };
  const config = (chat_template: unknown) => ({ "tokenizer_config.json": JSON.stringify({ chat_template }) });
  assertEquals(await template({}), null);
  assertEquals(await template(config("a")), "a");
  assertEquals(await template({ ...config("a"), "chat_template.jinja": "b" }), "b");
  assertEquals(await template(config([{ name: "tool_use", template: "c" }, { name: "default", template: "d" }])), "d");
  const gguf = await openTokenizerFiles(await resolveSource(tiny));
  assertEquals([gguf.config.eos_token, gguf.chatTemplate?.slice(0, 6), (await gguf.spec()).merges.length], ["<|im_end|>", "{% for", 3828]);
  assertEquals([specialToken({ a: { content: "x" } }, "a"), specialToken({ a: "y" }, "a"), specialToken({}, "a")], ["x", "y", null]);
});
