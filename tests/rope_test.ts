import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { RopeParameters } from "../engine/config.ts";
import { attentionFactor, inverseFrequencies, type RopeConfig, RopeTable, yarnRange } from "../engine/rope.ts";

const golden = JSON.parse(Deno.readTextFileSync(new URL("./fixtures/transformers/rope_golden.json", import.meta.url)));
const config = (rope: RopeParameters, headDim = 16, maxPositionEmbeddings = 64): RopeConfig => ({ rope, headDim, maxPositionEmbeddings });
const theta = 10000;

function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, relative: number): void {
  assertEquals(actual.length, expected.length);
  for (let i = 0; i < expected.length; i++) {
    assertAlmostEquals(actual[i], expected[i], relative * Math.abs(expected[i]), `value ${i}: ${actual[i]}, expected ${expected[i]}`);
  }
}

Deno.test("default and YaRN frequencies of SmolLM3-3B equal the golden ones", () => {
  const plain: RopeParameters = { ropeType: "default", ropeTheta: golden.rope_theta };
  assertClose(inverseFrequencies(config(plain, 128, 65536), 1), golden.default_inv_freq, 1e-14);
  const yarn: RopeParameters = { ropeType: "yarn", ropeTheta: golden.rope_theta, factor: 2, originalMaxPositionEmbeddings: 65536 };
  const expected = golden.yarn_factor2_orig65536;
  assertClose(inverseFrequencies(config(yarn, 128, 131072), 1), expected.inv_freq, 1e-14);
  assertEquals(yarnRange(yarn, 128), [expected.low, expected.high]);
  assertEquals(attentionFactor(yarn), expected.attention_factor);
});

Deno.test("linear divides by the factor, llama3 only the low frequencies", () => {
  const plain = inverseFrequencies(config({ ropeType: "default", ropeTheta: theta }), 1);
  assertClose(inverseFrequencies(config({ ropeType: "linear", ropeTheta: theta, factor: 2.5 }), 1), plain.map((x) => x / 2.5), 1e-15);
  const llama3: RopeParameters = { ropeType: "llama3", ropeTheta: theta, factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositionEmbeddings: 32 };
  const scaled = inverseFrequencies(config(llama3), 1);
  // 32 inverse / 2 pi turns: 5.1, 1.6, 0.5, ...
  assertEquals(scaled[0], plain[0]);
  const smooth = (32 * plain[1] / (2 * Math.PI) - 1) / 3;
  assertAlmostEquals(scaled[1], (1 - smooth) * plain[1] / 8 + smooth * plain[1], 1e-15);
  assertClose(scaled.slice(2), plain.slice(2).map((x) => x / 8), 1e-15);
});

Deno.test("dynamic follows each sequence's length and returns to the original frequencies", () => {
  const table = new RopeTable(config({ ropeType: "dynamic", ropeTheta: theta, factor: 2 }));
  const original = Array.from(table.inverseFrequencies(64)), base = theta * (2 * 96 / 64 - 1) ** (16 / 14);
  assertClose(table.inverseFrequencies(96), Array.from({ length: 8 }, (_, i) => base ** (-i / 8)), 1e-7);
  assertEquals(Array.from(table.inverseFrequencies(10)), original);
  assert(table.inverseFrequencies(97)[7] < table.inverseFrequencies(96)[7]);
});

Deno.test("longrope takes the long factors past the original length only", () => {
  const shortFactor = [1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7], longFactor = shortFactor.map((x) => 2 * x);
  const rope: RopeParameters = { ropeType: "longrope", ropeTheta: theta, factor: 2, originalMaxPositionEmbeddings: 64, shortFactor, longFactor };
  const table = new RopeTable(config(rope, 16, 128));
  assertEquals(table.attentionFactor, Math.sqrt(1 + Math.log(2) / Math.log(64)));
  const short = table.inverseFrequencies(64), long = table.inverseFrequencies(65);
  assertClose(short, shortFactor.map((factor, i) => theta ** (-i / 8) / factor), 1e-7);
  assertEquals(Array.from(long), Array.from(short, (x) => x / 2));
});

Deno.test("YaRN's attention factor: given, from both mscales, or from the factor alone", () => {
  const yarn: RopeParameters = { ropeType: "yarn", ropeTheta: theta, factor: 4, originalMaxPositionEmbeddings: 32 };
  assertEquals(attentionFactor({ ...yarn, attentionFactor: 1.5 }), 1.5);
  assertEquals(attentionFactor({ ...yarn, mscale: 0.7 }), 0.1 * Math.log(4) + 1);
  assertEquals(attentionFactor({ ...yarn, mscale: 0.7, mscaleAllDim: 1 }), (0.07 * Math.log(4) + 1) / (0.1 * Math.log(4) + 1));
  assertEquals(attentionFactor({ ...yarn, factor: 1 }), 1);
});

Deno.test("frequency factors divide last", () => {
  const freqFactors = [1, 2, 4, 8, 8, 8, 8, 8];
  const plain = inverseFrequencies(config({ ropeType: "default", ropeTheta: theta }), 1);
  assertEquals(
    Array.from(inverseFrequencies(config({ ropeType: "default", ropeTheta: theta, freqFactors }), 1)),
    freqFactors.map((factor, i) => plain[i] / factor),
  );
});

Deno.test("fill writes cos then sin of any position, the same from the cache and afresh", () => {
  const yarn: RopeParameters = { ropeType: "yarn", ropeTheta: theta, factor: 2, originalMaxPositionEmbeddings: 64 };
  for (const rope of [yarn, { ropeType: "dynamic", ropeTheta: theta, factor: 2 } as const]) {
    const table = new RopeTable(config(rope));
    for (const position of [0, 1, 255, 256, 1000]) {
      const out = new Float32Array(4 * 16).fill(9), inverse = table.inverseFrequencies(1001);
      for (const row of [1, 2]) table.fill(out, row, position, 1001);
      const expected = [Math.cos, Math.sin].flatMap((f) =>
        Array.from(inverse, (x) => Math.fround(Math.fround(f(Math.fround(x * position))) * table.attentionFactor))
      );
      assertEquals(Array.from(out), [...new Array(16).fill(9), ...expected, ...expected, ...new Array(16).fill(9)]);
    }
  }
});
