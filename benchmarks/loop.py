"""How long the fourteen months take on this machine: `python -m benchmarks.loop`.

The whole of `millrace demo`, from its start to its last line, after the set-up; give it two quiet cores.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import conclude

BAR_S = 60
API_CALLS = 2_500
"""The deployment counted too."""


def verdict(*, loop_s: float, api_calls: int) -> dict[str, Any]:
    """The result: seconds and calls of the whole loop against their bars."""
    holds = loop_s <= BAR_S and api_calls <= API_CALLS
    return {"name": "loop", "figure": loop_s, "unit": "s", "bar": BAR_S, "holds": holds, "api_calls": api_calls}


def main() -> None:
    """Live through the months once to warm the caches of this machine, then once for the figure.

    Exits with 1 where a bar is missed."""
    with tempfile.TemporaryDirectory(prefix="millrace-loop-") as folder:
        for _ in range(2):
            subprocess.run([sys.executable, "-m", "millrace.console.cli", "demo", "--build", folder], check=True)
        result = json.loads((Path(folder) / "demo.json").read_text())["workloads"]["electricity"]
    print(json.dumps({name: result[name] for name in ("loop_s", "cpu_s", "api_calls")}))
    conclude(verdict(loop_s=result["loop_s"], api_calls=result["api_calls"]))


if __name__ == "__main__":
    main()
