"""Compiled loops of a serving step against torch, on one thread and on torch's team."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hypotez.engine.kv import Cache, Span, plain
from hypotez.engine.paged import Paged
from hypotez.nn import kernels, native
from hypotez.nn.config import DecoderConfig
from hypotez.nn.rope import rotate

NEAR = {torch.float32: {"rtol": 1e-5, "atol": 1e-5}, torch.bfloat16: {"rtol": 2**-7, "atol": 2**-8}}


@pytest.fixture(autouse=True, params=[1, 2], ids=["one thread", "two threads"])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    torch.manual_seed(0)
    with torch.inference_mode():
        yield
    torch.set_num_threads(before)


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def dtype(request):
    return request.param


def test_the_team_is_found_on_linux():
    assert native.team() is not None


def test_rms_norm(dtype):
    x, weight = (torch.randn(70, 3, 96) * 3).to(dtype), torch.randn(96).to(dtype)

    out = kernels.rms_norm(x, weight, 1e-5)

    exact = F.rms_norm(x.double(), (96,), weight.double(), 1e-5)
    torch.testing.assert_close(out, exact.to(dtype), **NEAR[dtype])


def test_swiglu(dtype):
    gate_up = torch.cat([torch.linspace(-120, 120, 300), torch.randn(300)]).repeat(40, 1).to(dtype)

    out = kernels.swiglu(gate_up)

    gate, up = gate_up.chunk(2, -1)
    torch.testing.assert_close(out, (F.silu(gate) * up), **NEAR[dtype])


def test_the_likeliest_token_is_the_first_of_the_largest(dtype):
    logits = torch.randn(5, 1300).to(dtype)
    logits[1, [7, 700, 1299]] = 9.0
    logits[2] = -torch.rand(1300).to(dtype) - 1
    logits[3] = float("-inf")
    logits[3, 1024] = -1e30

    assert kernels.likeliest(logits) == logits.float().argmax(-1).tolist()


@pytest.mark.parametrize("turned", [16, 8], ids=["whole heads", "half of a head"])
def test_split_rotated(dtype, turned):
    qkv = torch.randn(50, 8, 16).to(dtype)
    angle = torch.randn(50, 1, turned // 2)
    cos, sin = angle.cos().repeat(1, 1, 2).to(dtype), torch.cat([-angle.sin(), angle.sin()], -1).to(dtype)

    q, k, v = kernels.split_rotated(qkv, 4, cos, sin)

    torch.testing.assert_close(torch.cat([q, k], 1), rotate(qkv[:, :6], cos, sin), **NEAR[dtype])
    assert torch.equal(v, qkv[:, 6:])


def test_a_number_that_is_none_stays_none(dtype):
    gate_up = torch.tensor([[float("nan"), 1.0, 2.0, 3.0]]).to(dtype)

    assert kernels.swiglu(gate_up).isnan().tolist() == [[True, False]]


@pytest.mark.parametrize("softcap", [None, 5.0])
@pytest.mark.parametrize("window", [None, 37])
@pytest.mark.parametrize(("group", "size"), [(1, 16), (2, 32), (3, 16), (4, 8), (7, 16), (3, 8)])
def test_attention_of_a_mixed_step(dtype, group, size, window, softcap):
    config = DecoderConfig(
        vocab_size=8, hidden_size=32, intermediate_size=8, layers=1, heads=2 * group, kv_heads=2, head_dim=32,
        windows=(window,), attention_softcap=softcap,
    )  # fmt: skip
    cache = Cache(config, blocks=80, size=size, dtype=dtype)
    cache.keys[0].normal_()
    cache.values[0].normal_()
    free = torch.randperm(80).tolist()
    shapes = [(0, 1), (15, 1), (16, 1), (150, 1), (0, 33), (17, 9)]
    spans = [Span(start, count, [free.pop() for _ in range(-(-(start + count) // size))]) for start, count in shapes]
    rows = sum(span.count for span in spans)
    q, k, v = torch.randn(rows, 2 * group, 32), torch.randn(rows, 2, 32), torch.randn(rows, 2, 32)

    out = Paged(cache, spans)(0, q.to(dtype), k.to(dtype), v.to(dtype))

    exact = Cache(config, blocks=80, size=size, dtype=torch.float32)
    for mine, theirs in zip(exact.rows(0), cache.rows(0), strict=True):
        mine.copy_(theirs)
    queries = q.to(dtype).float().split([span.count for span in spans])
    expected = [plain(exact, 0, part, span, window, softcap) for part, span in zip(queries, spans, strict=True)]
    near = NEAR[dtype] if dtype is torch.float32 else {"rtol": 2**-7, "atol": 2**-7}  # the weights are rounded, too
    torch.testing.assert_close(out, torch.cat(expected).to(dtype), **near)


def test_no_number_in_a_block_used_before_spoils_the_next_sequence(dtype):
    config = DecoderConfig(vocab_size=8, hidden_size=8, intermediate_size=8, layers=1, heads=4, kv_heads=2, head_dim=16)
    cache = Cache(config, blocks=4, size=16, dtype=dtype)
    cache.keys[0].fill_(float("nan"))
    cache.values[0].fill_(float("nan"))
    rows = [torch.randn(21, heads, 16).to(dtype) for heads in (4, 2, 2)]

    prompt = Paged(cache, [Span(0, 19, [2, 1])])(0, *(t[:19] for t in rows))
    written = [Paged(cache, [Span(i, 1, [2, 1])])(0, *(t[i : i + 1] for t in rows)) for i in (19, 20)]

    assert not torch.cat([prompt, *written]).isnan().any()


def test_a_row_of_attention_is_the_same_to_the_last_bit_alone_and_among_others(dtype):
    config = DecoderConfig(vocab_size=8, hidden_size=8, intermediate_size=8, layers=1, heads=6, kv_heads=2, head_dim=16)
    cache = Cache(config, blocks=40, size=16, dtype=dtype)
    spans = [Span(0, 40, [3, 1, 2]), Span(69, 1, [9, 8, 7, 6, 5]), Span(200, 1, list(range(20, 33)))]
    q, k, v = (torch.randn(42, heads, 16).to(dtype) for heads in (6, 2, 2))
    together = Paged(cache, spans)(0, q, k, v)

    alone = [
        Paged(cache, [Span(row, 1, [3, 1, 2])])(0, q[row : row + 1], k[row : row + 1], v[row : row + 1])
        for row in range(40)
    ]
    alone += [Paged(cache, [spans[i]])(0, q[39 + i :][:1], k[39 + i :][:1], v[39 + i :][:1]) for i in (1, 2)]

    assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize("rows", [1, 3, 4, 9])
def test_a_product_with_eight_bits(dtype, rows):
    x, codes = torch.randn(rows, 48).to(dtype), torch.randint(-127, 128, (1000, 48), dtype=torch.int8)
    scale, residual = torch.rand(1000).to(dtype), torch.randn(rows, 1000).to(dtype)

    plain, added = kernels.product(x, codes, scale, None), kernels.product(x, codes, scale, residual)

    exact = x.double() @ (codes * scale.double()[:, None]).T
    torch.testing.assert_close(plain, exact.to(dtype), rtol=NEAR[dtype]["rtol"], atol=1e-3)
    torch.testing.assert_close(added, (exact + residual).to(dtype), rtol=NEAR[dtype]["rtol"], atol=1e-3)
    turned = residual.t().contiguous().t()  # the same numbers, not one after another
    assert torch.equal(kernels.product(x, codes, scale, turned), added)


def test_a_row_of_a_product_is_the_same_to_the_last_bit_alone_and_among_others(dtype):
    x, codes = torch.randn(11, 64).to(dtype), torch.randint(-127, 128, (500, 64), dtype=torch.int8)
    scale = torch.rand(500).to(dtype)

    alone = [kernels.product(row[None], codes, scale, None) for row in x]

    assert torch.equal(kernels.product(x, codes, scale, None), torch.cat(alone))


@pytest.mark.parametrize("rank", [8, 16, 5])
@pytest.mark.parametrize("codes", [False, True], ids=["as they are", "eight bits"])
def test_rows_with_adapters_of_their_own(dtype, rank, codes):
    x, y = torch.randn(9, 48).to(dtype), torch.randn(9, 80).to(dtype)
    spans = np.array([(0, 32), (64, 80)])
    a = _numbers(4, 2 * rank, 48, dtype=dtype, codes=codes)
    b = [_numbers(4, rank, stop - start, dtype=dtype, codes=codes) for start, stop in spans]
    factors = np.random.default_rng(0).normal(size=(4, 2 * rank)).astype(np.float32) * (1e-4 if codes else 1)
    slots = np.array([0, 3, -1, 3, 1, 1, 1, 1, 1], np.int32)
    exact = y.double()
    for row, s in enumerate(slots):
        for p, (start, stop) in enumerate(spans):
            if s >= 0:
                mine = slice(p * rank, (p + 1) * rank)
                thin = a[s, mine].double() @ x[row].double() * torch.from_numpy(factors[s, mine]).double()
                exact[row, start:stop] += thin @ b[p][s].double()

    kernels.lora(x, a, b, factors, slots, spans, y)

    torch.testing.assert_close(y, exact.to(dtype), rtol=NEAR[dtype]["rtol"], atol=1e-3)


def _numbers(*shape, dtype, codes):
    return torch.randint(-127, 128, shape, dtype=torch.int8) if codes else torch.randn(*shape).to(dtype)


def test_an_adapter_adds_the_same_to_the_last_bit_alone_and_among_others(dtype):
    x, a, b = torch.randn(11, 64).to(dtype), torch.randn(2, 8, 64).to(dtype), [torch.randn(2, 8, 32).to(dtype)]
    slots, spans = np.array([0] * 7 + [1] * 4, np.int32), np.array([(0, 32)])
    factors = np.linspace(0.5, 1, 16, dtype=np.float32).reshape(2, 8)
    together, alone = torch.ones(11, 32).to(dtype), torch.ones(11, 32).to(dtype)

    kernels.lora(x, a, b, factors, slots, spans, together)
    for row in range(11):
        kernels.lora(x[row : row + 1], a, b, factors, slots[row : row + 1], spans, alone[row : row + 1])

    assert torch.equal(together, alone)


def test_every_part_is_done_once_however_many_threads_come():
    seen = np.zeros(5, np.int64)

    _mark_all(native.team(), 5, seen)

    assert seen.sum() in range(1, 6)
    assert set(seen) <= {0, 1}


@native.compiled()
def _mark(seen, part, parts):
    if part < parts:
        seen[part] += 1


@native.compiled()
def _mark_all(team, threads, seen):
    native.spread(team, threads, _mark, (seen,))
