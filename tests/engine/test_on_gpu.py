"""The real thing, where there is one: flash attention, recorded steps and adapters on an NVIDIA GPU."""

import random

import pytest
import torch
from tests.engine import gpu
from tests.tiny import random_adapter, serving_decoder

from hypotez.engine.cuda import CudaRecorder, flash
from hypotez.engine.engine import Engine, EngineOptions
from hypotez.engine.graphs import Graphs
from hypotez.engine.kv import Cache, Span
from hypotez.engine.paged import Paged
from hypotez.engine.sequence import Sampling, Sequence

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")

SHAPE = {"vocab_size": 96, "intermediate_size": 96, "layers": 3, "windows": (None, 40, None)}
SHAPES = [(0, 1), (3, 1), (100, 1), (300, 1), (0, 13), (17, 9), (200, 100)]


def decoder(dtype, device="cuda"):
    model = serving_decoder(dtype, **SHAPE)
    random_adapter(model, 0.1)
    return model.to(device)


def filled(model, varlen=None, blocks=80):
    """A cache that holds the same everywhere."""
    cache = Cache(model.config, blocks, 16, model.dtype, model.device, varlen)
    torch.manual_seed(0)
    for layer in range(model.config.layers):
        for kept in (cache.keys[layer], cache.values[layer]):
            kept.copy_(torch.randn(kept.shape))
    return cache


def spans(shapes):
    free = random.Random(2).sample(range(79), 79)
    return [Span(start, count, [free.pop() for _ in range(-(-(start + count) // 16))]) for start, count in shapes]


def test_a_mixed_step_by_flash_attention_equals_attention_by_masks():
    model = decoder(torch.bfloat16)
    varlen = flash(model.config, torch.bfloat16, model.device)
    assert varlen is not None, "an Ampere GPU or a newer one has it"
    rows = sum(count for _, count in SHAPES)
    q, k, v = (torch.randn(rows, heads, 16, device="cuda", dtype=torch.bfloat16) for heads in (4, 2, 2))

    for layer in (0, 1):
        told, expected = (Paged(filled(model, way), spans(SHAPES))(layer, q, k, v) for way in (varlen, None))
        torch.testing.assert_close(told, expected, rtol=2e-2, atol=2e-2)


def test_the_stand_in_of_the_other_tests_does_what_flash_attention_does():
    model = decoder(torch.bfloat16)
    varlen = flash(model.config, torch.bfloat16, model.device)
    q, k, v = (torch.randn(rows, heads, 16).bfloat16() for rows, heads in ((7, 4), (96, 2), (96, 2)))
    ends = torch.tensor([0, 1, 6, 7]), torch.tensor([0, 32, 64, 96]), torch.tensor([20, 32, 5])

    for window in ((-1, 0), (7, 0)):
        args = *(t.int() for t in ends[:2]), 5, 32
        expected = gpu.varlen(q, k, v, *args, window_size=window, enable_gqa=True, seqused_k=ends[2].int())
        there = [t.cuda() if isinstance(t, torch.Tensor) else t for t in (q, k, v, *args)]
        out = varlen(*there, window_size=window, enable_gqa=True, seqused_k=ends[2].int().cuda())
        torch.testing.assert_close(out.cpu(), expected, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_a_recorded_step_gives_the_logits_of_the_same_step_computed_on_a_processor(dtype):
    there, wide = decoder(dtype), decoder(dtype, "cpu").double()
    cache = filled(there, flash(there.config, dtype, there.device))
    graphs = Graphs(there, cache, CudaRecorder(there.device))
    limits = {"rtol": 1e-3, "atol": 1e-3} if dtype is torch.float32 else {"rtol": 5e-2, "atol": 5e-2}

    for shapes, slots in ([(3, 1), (100, 1), (0, 1)], [-1, 0, -1]), ([(50, 1), (7, 1), (33, 1), (9, 1)], [0, -1, 0, 0]):
        steps, tokens = spans(shapes), [5, 6, 7, 8][: len(shapes)]
        with torch.inference_mode():
            logits = graphs.logits(tokens, steps, slots)
            at = torch.tensor([span.start for span in steps])
            kept = Cache(wide.config, 80, 16, torch.float64)
            for ours, theirs in zip((*kept.keys, *kept.values), (*cache.keys, *cache.values), strict=True):
                ours.copy_(theirs)
            expected = wide.logits(wide(torch.tensor(tokens), at, Paged(kept, steps), torch.tensor(slots)))
        assert logits is not None, "recording failed"
        torch.testing.assert_close(logits.cpu().double(), expected, **limits)


def test_greedy_text_is_that_of_a_processor_with_recordings_and_without():
    dice = random.Random(1)
    prompts = [dice.choices(range(96), k=size) for size in (1, 15, 16, 40, 70, 5, 5, 5)]

    def said(device, **options):
        engine = Engine(decoder(torch.float32, device), EngineOptions(cache_tokens=4096, **options))
        sequences = [Sequence(prompt, Sampling(temperature=0, max_tokens=12)) for prompt in prompts]
        for sequence in sequences:
            engine.add(sequence)
        while engine.busy:
            engine.step()
        return [sequence.output for sequence in sequences]

    assert said("cuda") == said("cuda", cuda_graphs=False) == said("cpu")
