"""What the engine takes from an NVIDIA GPU by torch: flash attention over rows of any lengths, and graphs of a step."""

import threading
from collections.abc import Callable

import torch
from torch import Tensor

from hypotez.engine.kv import Varlen
from hypotez.nn.config import DecoderConfig

_WARM = 3  # runs before one is recorded: libraries make their workspaces, tables go to the device
_one_at_a_time = threading.Lock()  # torch records one graph at a time in a whole process


def flash(config: DecoderConfig, dtype: torch.dtype, device: torch.device) -> Varlen | None:
    """torch's attention over rows of any lengths, where it does what the model asks for.

    It is FlashAttention 2: for 16 bits, heads of up to 256 numbers, no capped scores, on an Ampere GPU or a newer one.
    """
    fits = dtype in (torch.bfloat16, torch.float16) and config.head_dim % 8 == 0 and config.head_dim <= 256
    if device.type != "cuda" or not fits or config.attention_softcap is not None or torch.version.hip is not None:
        return None
    if torch.cuda.get_device_capability(device) < (8, 0) or not torch.backends.cuda.is_flash_attention_available():
        return None
    from torch.nn.attention.varlen import varlen_attn

    return varlen_attn  # type: ignore[return-value]


class CudaRecorder:
    """CUDA graphs that share one pool of memory: they are played one after another."""

    def __init__(self, device: torch.device) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def record(self, run: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        here = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(here)
        # The outer stream, because a recording that fails does not find its way back to it
        with _one_at_a_time, torch.cuda.stream(here):
            with torch.cuda.stream(self._stream):
                for _ in range(_WARM):
                    run()
            here.wait_stream(self._stream)
            graph = torch.cuda.CUDAGraph()
            # Threads that load another model meanwhile may allocate memory, which by itself would end the recording
            with torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"):
                out = run()
        return out, graph.replay
