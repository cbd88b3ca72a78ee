"""Write constraints.txt: every version that `.[local,test]` resolves to today, except what is held back here.

Knows nothing about where packages come from: that is pip's own configuration.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

HELD = ["torch==2.13.0"]  # numbers in docs/performance.md were measured on it
HEADER = """\
# Every version that `.[local,test]` installs, pinned, so that today's green is tomorrow's green.
# Used by the README's commands: python -m pip install -c constraints.txt '.[local]'
# Renewed by `make pin`, in a change of its own.
"""


def resolve() -> list[str]:
    """``name==version`` of everything pip would install into an empty environment."""
    with tempfile.TemporaryDirectory() as folder:
        report, held = Path(folder, "report.json"), Path(folder, "held.txt")
        held.write_text("\n".join(HELD))
        pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
        subprocess.run([*pip, "--report", str(report), "-c", str(held), ".[local,test]"], check=True)
        packages = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    # A local version such as +cpu names one build; the pin must fit them all.
    pins = {p["name"].lower().replace("_", "-"): p["version"].split("+")[0] for p in packages}
    return [f"{name}=={version}" for name, version in sorted(pins.items()) if name != "hypotez"]


if __name__ == "__main__":
    Path("constraints.txt").write_text(HEADER + "\n".join(resolve()) + "\n")
