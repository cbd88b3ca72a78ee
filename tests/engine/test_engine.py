"""The engine against a loop that knows no cache and no batch, and against itself under every option."""

import random

import pytest
import torch

from hypotez.engine.engine import Engine, EngineOptions
from hypotez.engine.sequence import Sampling, Sequence
from hypotez.nn.adapters import save_adapter
from hypotez.nn.attention import Packed
from hypotez.nn.load import load
from hypotez.nn.lora import attach, initialise, loras
from hypotez.nn.packed import Weights, pack

NEW = 16


@pytest.fixture(scope="module")
def prompts():
    dice = random.Random(3)
    shared = dice.choices(range(384), k=50)
    fresh = [dice.choices(range(384), k=size) for size in (1, 2, 15, 16, 17, 40, 90, 130)]
    return [*fresh, *[shared[: dice.randint(20, 50)] + dice.choices(range(384), k=5) for _ in range(24)]]


def generate(decoder, prompts, **options):
    engine = Engine(decoder, EngineOptions(**{"cache_tokens": 16384, **options}))
    sequences = [Sequence(prompt, Sampling(temperature=0, max_tokens=NEW)) for prompt in prompts]
    for sequence in sequences:
        engine.add(sequence)
    while engine.busy:
        engine.step()
    assert engine.blocks.free == engine.blocks.count
    return [sequence.output for sequence in sequences], sequences


def naive(decoder, prompt):
    ids = list(prompt)
    with torch.inference_mode():
        for _ in range(NEW):
            attend = Packed([len(ids)])
            hidden = decoder(torch.tensor(ids), attend.positions(), attend)
            ids.append(int(decoder.logits(hidden[-1:]).argmax()))
    return ids[len(prompt) :]


def test_greedy_output_equals_a_loop_without_cache_or_batch(decoder, prompts):
    outputs, _ = generate(decoder, prompts[:12])

    assert outputs == [naive(decoder, prompt) for prompt in prompts[:12]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_greedy_output_is_the_same_alone_in_a_batch_in_chunks_and_from_the_prefix_cache(folder, prompts, dtype):
    decoder = load(folder, dtype)

    together, _ = generate(decoder, prompts)
    alone = [generate(decoder, [prompt], prefix_cache=False)[0][0] for prompt in prompts]

    assert together == alone  # a batch of 32
    assert generate(decoder, prompts, prefill_tokens=7)[0] == alone
    assert generate(decoder, prompts, prefix_cache=False, max_batch=5)[0] == alone
    again, cached = generate(decoder, prompts, max_batch=1)
    assert again == alone
    assert sum(sequence.cached > 0 for sequence in cached) >= 20


@pytest.mark.parametrize("weights", list(Weights))
def test_greedy_output_of_packed_weights_is_the_same_alone_and_in_a_batch(folder, prompts, weights):
    decoder = load(folder, torch.bfloat16)
    pack(decoder, weights)

    together, _ = generate(decoder, prompts[:16])

    assert together == [generate(decoder, [prompt], prefix_cache=False)[0][0] for prompt in prompts[:16]]


def test_a_cache_too_small_for_all_sends_some_back_and_changes_nothing(decoder, prompts):
    expected, _ = generate(decoder, prompts)

    assert generate(decoder, prompts, cache_tokens=320)[0] == expected


@pytest.fixture(scope="module")
def adapters(folder, tmp_path_factory):
    """Six adapters of the tiny model that each change what it says."""
    decoder = load(folder)
    attach(decoder, 4, slots=1)
    folders = []
    for seed in range(6):
        initialise(decoder, 0, 4, 8.0, seed)
        generator = torch.Generator().manual_seed(seed)
        for lora in loras(decoder):
            for b in lora.b:
                b.data.normal_(generator=generator)
        folders.append(tmp_path_factory.mktemp("adapter"))
        save_adapter(decoder, 0, folders[-1], "tiny")
    return folders


def with_adapter(engine, prompt, folder):
    sequence = Sequence(prompt, Sampling(temperature=0, max_tokens=NEW), owner=str(folder or ""))
    engine.add(sequence, folder)
    return sequence


def test_adapters_share_a_batch_and_the_least_recently_used_makes_way(folder, adapters, prompts):
    prompt = prompts[4]
    alone = []
    for adapter in [None, *adapters]:
        engine = Engine(load(folder), EngineOptions(cache_tokens=2048))
        sequence = with_adapter(engine, prompt, adapter)
        while engine.busy:
            engine.step()
        alone.append(sequence.output)

    engine = Engine(load(folder), EngineOptions(cache_tokens=4096, adapter_slots=3))
    for group in ([None, *adapters[:3]], adapters[3:], [adapters[0], None]):
        sequences = [with_adapter(engine, prompt, adapter) for adapter in group]
        while engine.busy:
            engine.step()
        expected = [alone[0 if adapter is None else adapters.index(adapter) + 1] for adapter in group]
        assert [sequence.output for sequence in sequences] == expected

    assert len({tuple(output) for output in alone}) == 7
    assert len(engine.adapters) == 3
    assert engine.adapters.loads == 7


def test_a_slot_in_use_is_not_taken(folder, adapters, prompts):
    engine = Engine(load(folder), EngineOptions(cache_tokens=2048, adapter_slots=1))
    first = with_adapter(engine, prompts[4], adapters[0])

    assert not engine.adapters.can_hold(str(adapters[1]))
    engine.end(first)
    assert engine.adapters.can_hold(str(adapters[1]))
