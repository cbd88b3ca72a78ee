"""What a recorded step does, on a GPU that is not there: torch's fake tensors know devices and shapes, and no numbers.

It shows that nothing in it asks the host or mixes devices, and that CUDA has every operation. Not that they are right.
"""

import copy
from functools import cache
from pathlib import Path

import pytest
import torch
import torchgen.packaged
import yaml
from tests.tiny import serving_decoder
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.nn.attention.varlen import varlen_attn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from hypotez.engine.cuda import flash
from hypotez.engine.gathered import writers
from hypotez.engine.kv import Cache, Span
from hypotez.engine.paged import Paged
from hypotez.nn.config import DecoderConfig
from hypotez.nn.lora import attach
from hypotez.nn.rows import Rows

CUDA = torch.device("cuda", 0)
SHAPE = {"vocab_size": 96, "intermediate_size": 96, "layers": 2}
KINDS = {
    "llama": {},
    "windows": {"windows": (None, 9)},
    "norms of heads": {"family": "qwen3"},
    "part of a head rotated": {"family": "phi3", "rotary_fraction": 0.5},
    "gemma 2": {"family": "gemma2", "windows": (9, None), "attention_softcap": 5.0, "logit_softcap": 9.0},
    "gemma 3": {"family": "gemma3_text", "windows": (9, None), "local_rope_theta": 500.0, "query_scale": 12.0},
}


class Indexed(TorchFunctionMode):
    """Square brackets by way of operations: a torch without CUDA refuses them for a tensor that claims to be there."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func not in (Tensor.__getitem__, Tensor.__setitem__):
            return func(*args, **(kwargs or {}))
        x, dim = args[0], 0
        for index in args[1] if isinstance(args[1], tuple) else (args[1],):
            if index is Ellipsis:
                dim = x.dim() - (len(args[1]) - 1)
            elif index is None:
                x, dim = x.unsqueeze(dim), dim + 1
            elif isinstance(index, slice):
                x, dim = torch.ops.aten.slice(x, dim, index.start, index.stop, index.step or 1), dim + 1
            else:
                x = x.select(dim, index)
        return x if func is Tensor.__getitem__ else x.copy_(args[2])


class Watched(TorchDispatchMode):
    """Names of the operations on the GPU; one that brings something to the host or from it is an error."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        read = [t.device.type for t in args if isinstance(t, Tensor) and t.dim()]  # a number of the host is an argument
        made = [t.device.type for t in (out if isinstance(out, tuple | list) else [out]) if isinstance(t, Tensor)]
        if "cuda" in (*read, *made):
            assert {*read, *made} == {"cuda"}, f"{func} copies between host and device"
            if func.namespace != "prim":  # asks what a tensor is like
                self.names.add(func.name())
        return out


@cache
def of_cuda():
    """Operations that torch's own table gives CUDA, by name: a kernel of its own, or made of others."""
    table = Path(torchgen.packaged.__path__[0]) / "ATen" / "native" / "native_functions.yaml"
    rows = yaml.load(table.read_text(), yaml.CSafeLoader)
    found = set()
    for row in rows:
        dispatch = row.get("dispatch")
        keys = {key.strip() for keys in dispatch for key in keys.split(",")} if dispatch else {"Composite"}
        if row.get("structured_delegate") or any(key == "CUDA" or key.startswith("Composite") for key in keys):
            found.add("aten::" + row["func"].split("(")[0])
    return found


def watched(kind, dtype, varlen, adapted):
    """A recorded step's work, once to warm it and once watched."""
    torch._C._ensureCUDADeviceGuardSet()
    model, mode = serving_decoder(dtype, **{**SHAPE, **KINDS[kind]}), FakeTensorMode()
    if adapted:
        attach(model, 4, slots=3)
    with FakeCopyMode(mode):
        model = copy.deepcopy(model)
    with mode, Indexed(), torch.no_grad():
        for module in model.modules():  # ``to`` cannot bring fakes there
            for name, p in list(module.named_parameters(recurse=False)):
                setattr(module, name, nn.Parameter(torch.empty(p.shape, dtype=p.dtype, device=CUDA), False))
        cache = Cache(model.config, 20, 16, dtype, CUDA, varlen)
        tokens, positions, slots = (torch.zeros(8, dtype=torch.int64, device=CUDA) for _ in range(3))
        blocks = torch.zeros(8, 16, dtype=torch.int64, device=CUDA)

        def step():
            attend = writers(cache, blocks, positions)
            return model.logits(model(tokens, positions, attend, Rows.unread(slots) if adapted else None))

        step()  # brings tables to the device, as the runs before a recording do
        with Watched() as watch:
            logits = step()
    assert (logits.shape, logits.device) == ((8, 96), CUDA)
    return watch.names


@pytest.mark.parametrize("adapted", [False, True], ids=["base", "adapters"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bfloat16", "float32"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_recorded_step_asks_the_host_nothing_and_cuda_has_every_operation(kind, dtype, adapted):
    flashes = dtype is torch.bfloat16 and "attention_softcap" not in KINDS[kind]

    names = watched(kind, dtype, varlen_attn if flashes else None, adapted)

    assert ("torch_attn::_varlen_attn" in names) == flashes
    assert names - of_cuda() <= {"torch_attn::_varlen_attn"}


@pytest.mark.parametrize("varlen", [None, varlen_attn], ids=["masks", "varlen"])
def test_a_mixed_step_stays_on_a_device_that_is_no_processor(varlen):
    model = serving_decoder(torch.bfloat16, **SHAPE, windows=(None, 9)).to("meta")
    cache = Cache(model.config, 20, 16, torch.bfloat16, "meta", varlen)
    spans = [Span(3, 1, [1]), Span(40, 1, [2, 3, 4]), Span(0, 20, [5, 6]), Span(16, 7, [7, 8])]
    rows = [torch.zeros(29, dtype=torch.int64, device="meta") for _ in range(2)]

    with torch.no_grad():
        hidden = model(*rows, Paged(cache, spans))

    assert (hidden.shape, hidden.device.type) == ((29, model.config.hidden_size), "meta")


def test_the_watch_notices_a_number_read_by_the_host_and_a_copy():
    torch._C._ensureCUDADeviceGuardSet()
    with FakeTensorMode(), Watched():
        x = torch.zeros(4, device=CUDA)
        with pytest.raises(RuntimeError, match="_local_scalar_dense"):
            x.sum().item()
        with pytest.raises(AssertionError, match="between host and device"):
            x.cpu()


def test_there_is_no_flash_attention_on_a_processor():
    config = DecoderConfig(vocab_size=8, hidden_size=8, intermediate_size=8, layers=1, heads=1, kv_heads=1, head_dim=8)

    assert flash(config, torch.bfloat16, torch.device("cpu")) is None
