"""The block table: sharing by content, forgetting the longest unused first, and never losing a block."""

import random

from hypotez.engine.blocks import Blocks, digests
from hypotez.engine.scheduler import Scheduler
from hypotez.engine.sequence import Sampling, Sequence


def test_digests_name_content_beginning_and_owner():
    tokens = list(range(20))

    names = digests(tokens, 8, "")

    assert len(names) == 2
    assert digests(tokens[:16], 8, "") == names
    assert digests([9, *tokens[1:]], 8, "")[1] != names[1]
    assert digests(tokens, 8, "other adapter")[0] != names[0]
    assert digests(tokens, 8, "", names[:1]) == names


def test_a_released_block_is_found_again_until_its_place_is_needed():
    blocks = Blocks(3, 4)
    names = digests(range(8), 4, "")
    mine = [blocks.take(), blocks.take()]
    for block, name in zip(mine, names, strict=True):
        blocks.name(block, name)
    blocks.release(mine)

    again = blocks.find(names)
    blocks.release(again)
    for _ in range(2):
        blocks.take()

    assert again == mine
    assert blocks.find(names) == mine[:1]  # the later block went first


def test_two_users_of_a_block_both_have_to_release_it():
    blocks = Blocks(2, 4)
    block = blocks.take()
    blocks.name(block, b"x")
    blocks.find([b"x"])

    blocks.release([block])

    assert blocks.free == 1
    blocks.release([block])
    assert blocks.free == 2


def test_nothing_is_lost_under_random_arrivals_ends_and_shortage():
    dice = random.Random(0)
    blocks = Blocks(24, 4)
    scheduler = Scheduler(blocks, max_batch=6, max_queue=10_000, prefill_tokens=13)
    alive, finished = [], 0
    for step in range(3000):
        if len(alive) < 12:
            prompt = dice.choices(range(3), k=dice.randint(1, 40))
            alive.append(Sequence(prompt, Sampling(max_tokens=dice.randint(1, 40))))
            scheduler.add(alive[-1])
        parts = scheduler.schedule()
        assert parts, f"step {step}: nothing moves"
        assert len({id(p.sequence) for p in parts}) == len(parts) <= 6
        for part in parts:
            assert len(part.sequence.blocks) * 4 >= part.start + part.count
        scheduler.computed(parts)
        for part in parts:
            if part.last:
                part.sequence.append(dice.randrange(3))
        for sequence in list(alive):
            if sequence.finish is not None or dice.random() < 0.01:
                scheduler.remove(sequence)
                alive.remove(sequence)
                finished += 1
    for sequence in alive:
        scheduler.remove(sequence)

    assert finished > 300
    assert blocks.free == blocks.count


def test_a_long_prompt_does_not_delay_those_who_write_or_a_short_prompt():
    scheduler = Scheduler(Blocks(1000, 16), prefill_tokens=64)
    writer = Sequence([1, 2, 3], Sampling(max_tokens=100))
    scheduler.add(writer)
    scheduler.computed(scheduler.schedule())
    writer.append(4)
    long, short = Sequence([1] * 5000, Sampling()), Sequence([2] * 30, Sampling())
    scheduler.add(long)
    scheduler.add(short)

    parts = {id(part.sequence): part for part in scheduler.schedule()}

    assert parts[id(writer)].last
    assert parts[id(short)].last
    assert sum(part.count for part in parts.values()) <= 65


def test_the_prompt_that_waited_longest_moves_on_however_many_short_ones_come():
    scheduler = Scheduler(Blocks(1000, 16), prefill_tokens=64)
    long = Sequence([1] * 5000, Sampling())
    scheduler.add(long)
    for token in range(8):
        scheduler.add(Sequence([token] * 30, Sampling()))

    parts = {id(part.sequence): part for part in scheduler.schedule()}

    assert parts[id(long)].count == 32
    assert len(parts) == 3  # one short prompt whole, the beginning of another


def test_prompts_that_come_together_are_read_a_few_at_a_time():
    scheduler = Scheduler(Blocks(1000, 16), prefill_tokens=256)
    for token in range(32):
        scheduler.add(Sequence([token] * 64, Sampling(max_tokens=100)))

    parts = scheduler.schedule()

    assert [part.last for part in parts] == [True] * 4
