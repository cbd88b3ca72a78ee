"""Write the sync twin of every hand-written async file; ``--check`` only compares.

A twin is the same text with the words of ``WORDS`` replaced, formatted. What really differs between the two
lives in ``model/twins.py`` under both names.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "src/hypotez/model"
TESTS = ROOT / "tests/model"
TWINS = {
    source: source.with_name(source.name.replace("_async", "_sync")) for source in sorted(MODEL.glob("_async*.py"))
}
TWINS |= {source: TESTS / "_sync" / source.name for source in sorted((TESTS / "_async").glob("*.py"))}

WORDS = {
    r"Written by hand; ``_sync\.py`` is generated from it by": "Generated from ``_async.py``; change that and run",
    r"\basync def\b": "def",
    r"\basync with\b": "with",
    r"\basync for\b": "for",
    r"\bawait\s+": "",
    r"\bawaited\b": "fetched",
    r"Awaitable\[": "TWIN[",
    r"Callable\[\[\], TWIN\[(\w+)\]\]": r"Callable[[], \1]",
    r"\bAwaitable, ": "",
    r"AsyncGenerator\[(\w+), None\]": r"Generator[\1, None, None]",
    r"\bAsync(\w+)": r"\1",
    r"\b_async(?=\b|_)": "_sync",
    r"\basync_(\w+)": r"\1",
    r"\b__a(enter|exit|iter|next)__\b": r"__\1__",
    r"\baclose\b": "close",
    r"\banext\(": "next(",
}


def sync(source: str) -> str:
    """The twin's text, formatted as the house does."""
    for word, twin in WORDS.items():
        source = re.sub(word, twin, source)
    for command in (["check", "--select", "I,C416,SIM117", "--fix-only", "--unsafe-fixes", "--quiet"], ["format"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(MODEL / "_sync.py"), "-"]
        done = subprocess.run(ruff, input=source, capture_output=True, text=True, check=True, cwd=ROOT)
        source = done.stdout
    return source


def main() -> int:
    texts = {twin: sync(source.read_text("utf-8")) for source, twin in TWINS.items()}
    stale = [twin for twin, text in texts.items() if not twin.exists() or twin.read_text("utf-8") != text]
    if "--check" in sys.argv[1:]:
        for twin in stale:
            print(f"{twin.relative_to(ROOT)} is stale; run python scripts/unasync.py", file=sys.stderr)
        return 1 if stale else 0
    for twin in stale:
        twin.parent.mkdir(exist_ok=True)
        twin.write_text(texts[twin], "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
