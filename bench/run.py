"""Measure: run every script of this folder, one after another, and write their tables into docs/performance.md.

    python bench/run.py [NAME ...] [-- OPTION ...]

What follows `--` is given to every script that is named. A script prints Markdown on standard output and whatever it
likes on standard error. Its output replaces the part ``<!-- measured: NAME -->`` of the page, where there is one,
and is printed in any case.
"""

import re
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parent
PAGE = BENCH.parent / "docs" / "performance.md"


def measured(page: str, name: str, text: str) -> str:
    """``page`` with the part called ``name`` replaced."""
    part = re.compile(rf"(<!-- measured: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    return part.sub(lambda m: f"{m[1]}{text.strip()}\n{m[2]}", page)


def main() -> int:
    given = sys.argv[1:]
    cut = given.index("--") if "--" in given else len(given)
    options = given[cut + 1 :]
    names = given[:cut] or sorted(p.stem for p in BENCH.glob("*.py") if p.stem != "run" and p.stem[0] != "_")
    failed = []
    for name in names:
        print(f"== {name}", file=sys.stderr)
        done = subprocess.run([sys.executable, str(BENCH / f"{name}.py"), *options], stdout=subprocess.PIPE, text=True)
        print(done.stdout)
        if done.returncode:
            failed.append(name)
            continue
        PAGE.write_text(measured(PAGE.read_text(), name, done.stdout))
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
