"""Where the weights are kept, and in which dtype. Chosen once, by processor, and logged with the reason."""

import logging
from pathlib import Path

import torch

from hypotez.errors import SettingsError

log = logging.getLogger(__name__)


def choose_dtype(asked: str, device: str) -> torch.dtype:
    """``auto`` is bfloat16 where the hardware multiplies it, float32 elsewhere; anything else is taken at its word."""
    if asked not in ("auto", "float32", "bfloat16"):
        raise SettingsError(
            f"The engine cannot keep weights in '{asked}'; set engine.dtype to auto, float32 or bfloat16."
        )
    if asked != "auto":
        return getattr(torch, asked)  # type: ignore[no-any-return]
    if device.startswith("cuda"):
        dtype, reason = torch.bfloat16, "CUDA"
    elif native_bfloat16():
        # Measured on Zen 5: as fast as float32 for one row, 3 to 5 times as fast from eight rows on, half the memory.
        dtype, reason = torch.bfloat16, "this processor multiplies bfloat16"
    else:
        dtype, reason = torch.float32, "this processor has no bfloat16 instructions"
    log.info("Weights in %s: %s.", str(dtype).removeprefix("torch."), reason)
    return dtype


def choose_device(asked: str) -> str:
    """``auto`` is an NVIDIA GPU that torch can use, else the processor."""
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if asked.partition(":")[0] not in ("cpu", "cuda"):
        raise SettingsError(f"There is no device '{asked}'; set engine.device to auto, cpu or cuda.")
    if asked.startswith("cuda") and not torch.cuda.is_available():
        raise SettingsError(
            f"engine.device is '{asked}', but torch {torch.__version__} finds no NVIDIA GPU here; set it to auto or "
            "cpu, or install torch for CUDA and the GPU's driver."
        )
    return asked


def native_bfloat16() -> bool:
    """Whether the processor has AVX-512 BF16, AMX, or Arm's BF16."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16", " bf16 "))
