/**
 * Random requests to an engine, together and in a small cache, against each of them alone, token by token, without an engine. Everything follows from a seed.
 *
 * @module
 */
import type { Executable } from "../engine/backend.ts";
import { EngineCore, type EngineRequest } from "../engine/engine_core.ts";
import type { Host } from "../engine/host.ts";
import type { RequestOutput } from "../engine/request_output.ts";
import { RopeTable } from "../engine/rope.ts";
import { SamplingParams } from "../engine/sampling_params.ts";
import { checkInvariants } from "./check_invariants.ts";
import { type FuzzMachine, load } from "./model_fuzz.ts";
import { describe, Dice, drawModel, type ModelCase } from "./random_case.ts";

/** A request, and what is done to it. */
interface FuzzRequest extends EngineRequest {
  readonly samplingParams: SamplingParams;
  readonly promptTokenIds: readonly number[];
  /** Turns of the event loop before it is sent. */
  readonly turns: number;
  /** Tokens after which it is cancelled. */
  readonly cancelAfter?: number;
}

/** A logits processor: another token is likelier after each text. */
function tilt(tokenIds: readonly number[], logits: Float32Array): void {
  logits[7 * tokenIds.length % logits.length] += 2;
}

function drawRequests(dice: Dice, { config, options }: ModelCase, maxTokens: number): FuzzRequest[] {
  const { vocabSize } = config, token = () => dice.int(0, vocabSize - 1), most = Math.min(options.maxContext, maxTokens);
  const common = Array.from({ length: most }, token), some = <T>(value: T, otherwise: T) => dice.chance(0.3) ? value : otherwise;
  return Array.from({ length: dice.int(1, 9) }, () => {
    const length = dice.int(1, Math.max(1, most - 1)), shared = dice.chance(0.6) ? dice.int(0, length) : 0;
    const promptTokenIds = Array.from({ length }, (_, i) => i < shared ? common[i] : token()),
      maxNew = dice.int(1, 24),
      temperature = some(0, 0.2 + 1.5 * dice.next());
    const samplingParams = new SamplingParams({
      n: temperature > 0 ? some(dice.int(1, 3), 1) : 1,
      temperature,
      topK: some(dice.int(1, 60), 0),
      topP: some(0.05 + 0.95 * dice.next(), 1),
      minP: some(dice.next() / 3, 0),
      seed: dice.int(0, 2 ** 30),
      repetitionPenalty: some(0.7 + dice.next(), 1),
      frequencyPenalty: some(dice.next() - 0.3, 0),
      presencePenalty: some(dice.next() - 0.3, 0),
      logitBias: dice.chance(0.2) ? new Map(Array.from({ length: dice.int(1, 9) }, () => [token(), 6 * dice.next() - 3])) : undefined,
      stopTokenIds: some([token(), token()], []),
      ignoreEos: dice.chance(0.3),
      maxTokens: some(null, maxNew),
      minTokens: some(dice.int(0, maxNew), 0),
      logprobs: some(dice.int(0, 4), undefined),
      detokenize: false,
    });
    return {
      promptTokenIds,
      samplingParams,
      priority: some(dice.int(-2, 2), 0),
      eosTokenIds: some([token()], [2]),
      logitsProcessors: some([tilt], []),
      turns: some(dice.int(0, 30), 0),
      cancelAfter: dice.chance(0.1) ? dice.int(0, 8) : undefined,
    };
  });
}

interface Answer {
  readonly tokenIds: readonly number[];
  readonly finishReason: string;
}

/** What a request must get: everything computed from the start for each token, its logits processed and sampled by the host. */
async function answersOf(
  request: FuzzRequest,
  { config, options }: ModelCase,
  executable: Executable,
  maxTokens: number,
  { sampler }: Host,
): Promise<Answer[]> {
  const { samplingParams: params, promptTokenIds, eosTokenIds } = request, { blockSize } = options, rope = new RopeTable(config), answers: Answer[] = [];
  const eos = params.ignoreEos ? [] : eosTokenIds!, stops = new Set([...eos, ...params.stopTokenIds]);
  for (let index = 0; index < params.n; index++) {
    const tokens = [...promptTokenIds], outputTokenIds: number[] = [];
    let finishReason = "", computed = 0;
    while (finishReason === "") {
      let logits = new Float32Array();
      while (computed < tokens.length) {
        const fresh = Math.min(options.maxRows, tokens.length - computed),
          angles = new Float32Array(fresh * rope.headDim),
          width = Math.ceil(options.maxContext / blockSize);
        for (let i = 0; i < fresh; i++) rope.fill(angles, i, computed + i, Math.max(promptTokenIds.length, computed + i + 1));
        logits = (await executable.execute({
          tokens: Uint32Array.from(tokens.slice(computed, computed + fresh)),
          rope: angles,
          slots: Uint32Array.from({ length: fresh }, (_, i) => computed + i),
          queryStarts: Uint32Array.of(0, fresh),
          contextLengths: Uint32Array.of(computed + fresh),
          blockTables: Uint32Array.from({ length: width }, (_, i) => i),
          blocksPerSequence: width,
          outputRows: Uint32Array.of(fresh - 1),
        })).slice();
        computed += fresh;
      }
      for (const process of request.logitsProcessors!) process(tokens, logits);
      if (outputTokenIds.length < params.minTokens) { for (const id of stops) logits[id] = -Infinity; }
      const { repetitionPenalty, frequencyPenalty, presencePenalty, logitBias } = params;
      if (params.hasPenalties) sampler.penalize(logits, { repetitionPenalty, frequencyPenalty, presencePenalty, promptTokenIds, outputTokenIds, logitBias });
      const { temperature, topK, topP, minP } = params, seed = BigInt.asUintN(64, params.seed! + BigInt(index));
      const [{ tokenId }] = sampler.sample(logits, [{ temperature, topK, topP, minP, seed, position: outputTokenIds.length }]);
      tokens.push(tokenId);
      outputTokenIds.push(tokenId);
      if (outputTokenIds.length >= params.minTokens && stops.has(tokenId)) finishReason = "stop";
      else if (outputTokenIds.length >= params.maxTokens || tokens.length >= maxTokens) finishReason = "length";
    }
    answers.push({ tokenIds: outputTokenIds, finishReason });
  }
  return answers;
}

/** Sends requests, some later than others, cancels some, and waits for all. */
async function ask(core: EngineCore, requests: readonly FuzzRequest[]): Promise<(RequestOutput | Error)[]> {
  return await Promise.all(requests.map(async ({ turns, cancelAfter, ...request }) => {
    for (let i = 0; i < turns; i++) await new Promise((resolve) => setTimeout(resolve, 0));
    const controller = new AbortController();
    try {
      const stream = core.add({ ...request, signal: controller.signal });
      if (cancelAfter === undefined) return await stream.result();
      let last: RequestOutput | undefined;
      for await (const output of stream) {
        last = output;
        if (output.outputs.some(({ tokenIds }) => tokenIds.length >= cancelAfter)) controller.abort();
      }
      return last ?? new Error("cancelled before anything came");
    } catch (error) {
      return error as Error;
    }
  }));
}

/**
 * Runs the requests of a seed on each device.
 *
 * @returns What is wrong.
 */
export async function fuzzRequests(seed: number, machines: readonly FuzzMachine[], host: Host): Promise<{ what: string; failures: string[] }> {
  const dice = new Dice(seed ^ 0x5eed), model = drawModel(dice), { config, options } = model, failures: string[] = [];
  const seqs = dice.int(1, options.maxSequences),
    scheduler = {
      blocks: dice.int(1, dice.chance(0.5) ? Math.ceil(options.blocks / 4) : options.blocks),
      blockSize: options.blockSize,
      maxNumSeqs: seqs,
      maxNumBatchedTokens: dice.int(seqs, options.maxRows),
      maxContext: options.maxContext,
      enablePrefixCaching: dice.chance(0.7),
    };
  const maxTokens = Math.min(scheduler.maxContext, scheduler.blocks * scheduler.blockSize),
    requests = maxTokens > 1 ? drawRequests(dice, model, maxTokens) : [];
  let what = `${requests.length} requests, ${JSON.stringify(scheduler)}, ${describe(model)}`, preemptions = 0;
  for (const { name, backend, threads } of machines) {
    const isGpu = backend.device === "webgpu";
    // On a GPU the number of rows chooses the kernel, so that the last bits of logits depend on the company.
    const exact: ModelCase = isGpu ? { ...model, options: { ...options, cacheType: "f32", activations: "float32" } } : model;
    const executable = await load(backend, exact, { ...exact.options, threads });
    try {
      const want: (Answer[] | Error)[] = [];
      for (const request of requests) want.push(await answersOf(request, exact, executable, maxTokens, host).catch((error) => error as Error));
      const core = new EngineCore({ executable, rope: new RopeTable(config), sampler: host.sampler, vocabSize: config.vocabSize, scheduler });
      const got = await ask(core, requests);
      got.forEach((output, i) => {
        const expected = want[i], { cancelAfter, ...request } = requests[i];
        const fail = (problem: string) =>
          void failures.push(
            `seed ${seed}: ${name}: request ${i} ${problem}\n  ${JSON.stringify(request, (_, v) => typeof v === "bigint" ? `${v}` : v)}\n  ${what}`,
          );
        if (output instanceof Error || expected instanceof Error) {
          if (cancelAfter === undefined && !(output instanceof Error && expected instanceof Error)) {
            fail(`gave ${output instanceof Error ? output.stack : "an answer"} instead of ${expected}`);
          }
          return;
        }
        for (const { index, tokenIds, finishReason } of output.outputs) {
          const { tokenIds: right, finishReason: end } = expected[index], isCut = cancelAfter !== undefined && finishReason === "abort";
          const length = isCut ? tokenIds.length : right.length;
          if (tokenIds.join() !== right.slice(0, length).join() || !isCut && finishReason !== end) {
            fail(`answer ${index} is ${tokenIds} (${finishReason}) instead of ${right} (${end})`);
          }
        }
      });
      checkInvariants(core.scheduler);
      preemptions += core.metrics().preemptions;
      if (core.scheduler.hasWork || core.pool.free !== core.pool.blocks) failures.push(`seed ${seed}: ${name}: something is left in the engine\n  ${what}`);
      core.close();
    } catch (error) {
      failures.push(`seed ${seed}: ${name}: ${error instanceof Error ? error.stack : error}\n  ${what}`);
    }
    executable.close();
  }
  what += `, ${preemptions} preemptions`;
  return { what, failures };
}
