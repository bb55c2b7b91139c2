/** What must hold between any two calls of a scheduler; for tests. */
import { assert, assertEquals } from "@std/assert";
import type { ScheduledStep } from "../engine/scheduled_step.ts";
import type { Scheduler } from "../engine/scheduler.ts";
import type { Sequence } from "../engine/sequence.ts";

/**
 * Throws when a block is lost, held twice by mistake or given away while in use, or when a sequence is not where its state says.
 *
 * @param step The step that was just scheduled: its rows are checked against the sequences' blocks.
 */
export function checkInvariants(scheduler: Scheduler, step?: ScheduledStep): void {
  const { pool, running, waiting, options: { blockSize, maxNumSeqs, maxNumBatchedTokens } } = scheduler;
  const holders = new Map<number, Sequence[]>();
  for (const [list, status] of [[running, "running"], [waiting, "waiting"]] as const) {
    for (const [i, sequence] of list.entries()) {
      assertEquals(sequence.status, status);
      assert(sequence.tokens.length <= scheduler.maxTokens, "a sequence is longer than the context");
      assert(sequence.computed <= sequence.tokens.length, "more computed than there are tokens");
      const before = list[i - 1];
      assert(!before || before.priority < sequence.priority || before.priority === sequence.priority && before.arrival < sequence.arrival, "out of rank");
    }
  }
  assert(running.length <= maxNumSeqs, "too many sequences run");
  for (const sequence of waiting) {
    assertEquals(sequence.blocks, [], "a waiting sequence holds blocks");
    assertEquals(sequence.computed, 0, "a waiting sequence has computed tokens");
  }
  for (const sequence of running) {
    assert(sequence.blocks.length * blockSize >= sequence.computed, "computed tokens without a block");
    assertEquals(new Set(sequence.blocks).size, sequence.blocks.length, "a sequence holds a block twice");
    for (const block of sequence.blocks) holders.set(block, [...holders.get(block) ?? [], sequence]);
  }

  const free = [...pool.freeBlocks()];
  assertEquals(free.length, pool.free);
  assertEquals(new Set(free).size, free.length, "a block is free twice");
  assertEquals(free.length + holders.size, pool.blocks, "free and used blocks are not all blocks");
  for (const block of free) assert(!holders.has(block), `block ${block} is free and in use`);
  for (let block = 0; block < pool.blocks; block++) assertEquals(pool.references(block), holders.get(block)?.length ?? 0, `references of block ${block}`);
  for (const [block, sequences] of holders) {
    if (sequences.length === 1) continue;
    assert(pool.link(block) !== 0, `block ${block} is shared but nobody can have found it`);
    const [first] = sequences, index = first.blocks.indexOf(block), end = (index + 1) * blockSize;
    for (const sequence of sequences) {
      assertEquals(sequence.blocks[index], block, "a shared block stands at two places");
      assertEquals(sequence.tokens.slice(0, end), first.tokens.slice(0, end), "sequences with different beginnings share a block");
      assert(sequence.registered > index, "a shared block is not counted as registered");
    }
  }

  if (!step) return;
  const { sequences, queryStarts, contextLengths, outputRows, outputSequences, blockTables, blocksPerSequence } = step;
  const rows = step.tokens.length, { ahead } = step, slots = new Set<number>();
  assert(rows <= maxNumBatchedTokens, "over budget");
  assertEquals(queryStarts[0], 0);
  assertEquals(queryStarts[sequences.length], rows);
  assertEquals(new Set(sequences).size, sequences.length, "a sequence is in the step twice");
  assertEquals(outputRows.length, outputSequences.length);
  for (const [i, sequence] of sequences.entries()) {
    assertEquals(sequence.status, "running");
    const count = queryStarts[i + 1] - queryStarts[i];
    assert(count >= 1, "a sequence without rows");
    assertEquals(contextLengths[i], sequence.computed + count);
    assert(contextLengths[i] <= sequence.tokens.length);
    assert(sequence.blocks.length * blockSize >= contextLengths[i] + ahead, "no places for the tokens ahead");
    assert(ahead === 0 || contextLengths[i] + ahead < scheduler.maxTokens, "tokens ahead of the end of the context");
    const output = outputSequences.indexOf(i);
    assertEquals(output >= 0, contextLengths[i] === sequence.tokens.length, "an output exactly for the last token");
    if (output >= 0) assertEquals(outputRows[output], queryStarts[i + 1] - 1);
    assertEquals([...blockTables.subarray(i * blocksPerSequence, i * blocksPerSequence + sequence.blocks.length)], sequence.blocks);
    for (let row = queryStarts[i]; row < queryStarts[i + 1]; row++) {
      const position = sequence.computed + row - queryStarts[i], block = sequence.blocks[Math.floor(position / blockSize)];
      assertEquals(step.positions[row], position);
      assertEquals(step.tokens[row], sequence.tokens[position]);
      assertEquals(step.slots[row], block * blockSize + position % blockSize, "a row is stored outside its sequence");
      assert(!slots.has(step.slots[row]), "two rows share a slot");
      slots.add(step.slots[row]);
      // A shared block is only read, except by the one whose step fills it: that one comes first.
      assert(holders.get(block)!.every((other) => sequences.indexOf(other) >= i), "a block is written under its readers");
    }
  }
}
