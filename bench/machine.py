"""What the numbers were measured on."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("hypotez", "torch", "transformers", "openai", "fastapi", "uvicorn")


def processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    flags = Path("/proc/cpuinfo").read_text()
    fast = [flag for flag in ("avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {processor()}, {cores} cores ({', '.join(fast)}), {memory:.0f} GB;"
    )
    print(f"Python {platform.python_version()}, {packages}.")


if __name__ == "__main__":
    main()
