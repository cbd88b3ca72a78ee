"""Steps played from recordings say what steps computed one by one say, whoever joins and leaves: tapes stand in.

In float64: no compiled loop takes it, so that all is torch's, as on a GPU; and what differs is no rounding.
"""

import logging
import random

import pytest
import torch
from tests.engine.gpu import NoRecorder, TapeRecorder, varlen
from tests.tiny import serving_decoder

from hypotez.engine.engine import Engine, EngineOptions
from hypotez.engine.graphs import Graphs
from hypotez.engine.kv import Cache, Span
from hypotez.engine.paged import Paged
from hypotez.engine.sequence import Sampling, Sequence
from hypotez.nn.adapters import save_adapter
from hypotez.nn.attention import Packed
from hypotez.nn.lora import attach, initialise, loras

NEW = 12
KINDS = {
    "llama": {},
    "windows, and a layer that is not rotated": {"windows": (None, 9, None), "rotated": (True, True, False)},
    "norms of heads": {"family": "qwen3"},
    "gemma 2": {
        "family": "gemma2", "windows": (9, None, 9), "query_scale": 12.0,
        "attention_softcap": 5.0, "logit_softcap": 9.0,
    },
    "gemma 3": {"family": "gemma3_text", "windows": (9, 9, None), "local_rope_theta": 500.0},
}  # fmt: skip


def decoder(**fields):
    shape = {"vocab_size": 96, "intermediate_size": 96, "layers": 3, "head_dim": 8, "max_positions": 512}
    return serving_decoder(torch.float64, **{**shape, **fields})


@pytest.fixture(scope="module")
def prompts():
    dice = random.Random(3)
    shared = dice.choices(range(96), k=40)
    fresh = [dice.choices(range(96), k=size) for size in (1, 2, 15, 17, 60)]
    return [*fresh, *[shared[: dice.randint(20, 40)] + dice.choices(range(96), k=3) for _ in range(4)]]


def engine_of(model, recorder, attention=None, **options):
    return Engine(model, EngineOptions(**{"cache_tokens": 4096, **options}), recorder=recorder, varlen=attention)


def generate(model, prompts, recorder=None, attention=None, **options):
    engine = engine_of(model, recorder, attention, **options)
    sequences = [Sequence(prompt, Sampling(temperature=0, max_tokens=NEW)) for prompt in prompts]
    for sequence in sequences:
        engine.add(sequence)
    while engine.busy:
        engine.step()
    assert engine.blocks.free == engine.blocks.count
    return [sequence.output for sequence in sequences]


def naive(model, prompt):
    ids, config = list(prompt), model.config
    with torch.inference_mode():
        for _ in range(NEW):
            attend = Packed([len(ids)], config.windows, config.attention_softcap)
            hidden = model(torch.tensor(ids), attend.positions(), attend)
            ids.append(int(model.logits(hidden[-1:]).argmax()))
    return ids[len(prompt) :]


@pytest.mark.parametrize("attention", [None, varlen], ids=["masks", "varlen"])
@pytest.mark.parametrize("kind", KINDS)
def test_recorded_steps_say_what_a_loop_without_cache_or_batch_says(kind, attention, prompts):
    model = decoder(**KINDS[kind])
    if model.config.attention_softcap is not None:
        attention = None  # as ``cuda.flash`` has it
    recorder = TapeRecorder()

    outputs = generate(model, prompts, recorder, attention)

    assert outputs == [naive(model, prompt) for prompt in prompts]
    assert recorder.played >= NEW - 3
    assert recorder.recorded <= 3  # 16 rows, and fewer as they leave


@pytest.mark.parametrize("attention", [None, varlen], ids=["masks", "varlen"])
def test_recorded_output_is_the_same_alone_in_a_batch_in_chunks_and_from_the_prefix_cache(attention, prompts):
    model = decoder(windows=(None, 9, None))
    alone = [generate(model, [prompt], TapeRecorder(), attention, prefix_cache=False)[0] for prompt in prompts]

    for options in (
        {},
        {"prefill_tokens": 7},
        {"prefill_tokens": 1},
        {"max_batch": 3},
        {"prefix_cache": False},
        {"cache_tokens": 160},
    ):
        assert generate(model, prompts, TapeRecorder(), attention, **options) == alone, options


def test_sequences_join_leave_and_are_cancelled_between_replays(prompts):
    model, dice = decoder(), random.Random(1)
    alone = {tuple(prompt): generate(model, [prompt])[0] for prompt in prompts}
    recorder = TapeRecorder()
    engine = engine_of(model, recorder, varlen)

    waiting, running, cancelled, finished = list(prompts) * 2, [], [], []
    while waiting or engine.busy:
        if waiting and dice.random() < 0.5:
            running.append(Sequence(waiting.pop(), Sampling(temperature=0, max_tokens=dice.randint(3, NEW))))
            engine.add(running[-1])
        if running and dice.random() < 0.1:
            cancelled.append(running.pop(dice.randrange(len(running))))
            engine.end(cancelled[-1])
        engine.step()
        finished += [s for s in running if s.finish is not None]
        running = [s for s in running if s.finish is None]

    assert len(cancelled) >= 2
    for sequence in (*finished, *cancelled):
        prompt = tuple(sequence.tokens[: sequence.prompt_length])
        assert sequence.output == alone[prompt][: len(sequence.output)]
    assert recorder.played > 4 * recorder.recorded
    assert engine.blocks.free == engine.blocks.count


def test_rows_that_fill_up_change_no_real_row_and_no_real_block():
    model = decoder(windows=(None, 9, None))
    cache = Cache(model.config, 12, 4, torch.float64)
    for tensor in (*cache.keys, *cache.values):
        tensor.normal_()
    spans = [Span(9, 1, [3, 1, 2]), Span(0, 1, [7]), Span(4, 1, [5, 9])]
    before = [t.clone() for t in (*cache.keys, *cache.values)]
    tokens, positions = torch.tensor([5, 6, 7]), torch.tensor([9, 0, 4])
    with torch.inference_mode():
        expected = model.logits(model(tokens, positions, Paged(cache, spans)))
        written = [t.clone() for t in (*cache.keys, *cache.values)]
        for tensor, old in zip((*cache.keys, *cache.values), before, strict=True):
            tensor.copy_(old)

        logits = Graphs(model, cache, TapeRecorder()).logits([5, 6, 7], spans, [-1] * 3)

    torch.testing.assert_close(logits, expected, rtol=1e-12, atol=1e-12)
    for tensor, other in zip((*cache.keys, *cache.values), written, strict=True):
        torch.testing.assert_close(tensor[:-1], other[:-1], rtol=1e-12, atol=1e-12)


def test_every_power_of_two_of_rows_and_of_blocks_is_recorded_once():
    model, recorder = decoder(), TapeRecorder()
    cache = Cache(model.config, 140, 4, torch.float64)
    graphs = Graphs(model, cache, recorder)

    def step(rows, length):
        blocks = -(-length // 4)
        with torch.inference_mode():
            graphs.logits([1] * rows, [Span(length - 1, 1, range(blocks)) for _ in range(rows)], [-1] * rows)
        return recorder.recorded

    assert [step(rows, 9) for rows in (5, 6, 7, 8, 5)] == [1] * 5
    assert [step(8, length) for length in (250, 256, 257, 500, 3)] == [1, 1, 2, 2, 2]
    assert [step(rows, 9) for rows in (4, 1, 3, 2)] == [3, 4, 4, 5]


def test_sampled_and_penalised_rows_are_the_same_from_recorded_steps(prompts):
    def said(recorder):
        engine = engine_of(decoder(), recorder, max_batch=4)
        wishes = [
            Sampling(1.0, seed=i, max_tokens=NEW, top_p=0.9, presence_penalty=i % 3, logprobs=2) for i in range(9)
        ]
        sequences = [Sequence(prompt, wish) for prompt, wish in zip(prompts, wishes, strict=True)]
        for sequence in sequences:
            engine.add(sequence)
        while engine.busy:
            engine.step()
        return [sequence.output for sequence in sequences]

    assert said(TapeRecorder()) == said(None)


def test_where_recording_fails_it_is_said_once_and_steps_are_computed_one_by_one(prompts, caplog):
    model, recorder = decoder(), NoRecorder()

    with caplog.at_level(logging.WARNING):
        outputs = generate(model, prompts, recorder)

    assert outputs == generate(model, prompts)
    assert recorder.asked == 1
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "Steps cannot be recorded on this machine and take longer for it"
    ]


@pytest.fixture(scope="module")
def adapters(tmp_path_factory):
    """Adapters of the decoder that each change what it says, of ranks 4, 4, 2 and 5."""
    model, folders = decoder(), []
    attach(model, 5)
    for seed, rank in enumerate((4, 4, 2, 5)):
        initialise(model, 0, rank, 8.0 + seed, seed)
        generator = torch.Generator().manual_seed(seed)
        for lora in loras(model):
            for b in lora.b:
                b.data[:, :rank].normal_(generator=generator)
        folders.append(tmp_path_factory.mktemp("adapter"))
        save_adapter(model, 0, folders[-1], "tiny")
    return folders


def with_adapters(engine, prompt, folders):
    sequences = [Sequence(prompt, Sampling(temperature=0, max_tokens=NEW), owner=str(f or "")) for f in folders]
    for sequence, folder in zip(sequences, folders, strict=True):
        engine.add(sequence, folder)
    while engine.busy:
        engine.step()
    return [sequence.output for sequence in sequences]


def test_rows_of_any_adapters_share_a_recording_until_the_slots_grow(adapters, prompts):
    prompt, recorder = prompts[3], TapeRecorder()
    alone = {f: with_adapters(engine_of(decoder(), None), prompt, [f])[0] for f in [None, *adapters]}
    engine = engine_of(decoder(), recorder, varlen, adapter_slots=2)

    recorded = []
    for folders in ([None, *adapters[:2]], [adapters[1], None, adapters[2]], [adapters[3], adapters[2], None]):
        assert with_adapters(engine, prompt, folders) == [alone[f] for f in folders]
        recorded.append(recorder.recorded)

    assert len({tuple(output) for output in alone.values()}) == 5
    assert engine.adapters.loads == 4
    assert recorded[0] == recorded[1] < recorded[2]  # the second took a slot as it was, the third had a higher rank
