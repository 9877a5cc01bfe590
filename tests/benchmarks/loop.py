"""How long the fourteen months take on this machine: `python -m tests.benchmarks.loop`.

The whole of `millrace demo`, from its start to its last line, after the set-up; give it two quiet cores.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

BAR_S = 60
API_CALLS = 4_000


def main() -> None:
    """Live through the months once to warm the caches of this machine, then once for the figure."""
    with tempfile.TemporaryDirectory(prefix="millrace-loop-") as folder:
        for _ in range(2):
            subprocess.run([sys.executable, "-m", "console.cli", "demo", "--build", folder], check=True)
        result = json.loads((Path(folder) / "demo.json").read_text())
    told = {name: result[name] for name in ("loop_s", "cpu_s", "api_calls")}
    holds = told["loop_s"] <= BAR_S and told["api_calls"] <= API_CALLS
    print(json.dumps(told))
    print(json.dumps({"name": "loop", "figure": told["loop_s"], "unit": "s", "bar": BAR_S, "holds": holds}))


if __name__ == "__main__":
    main()
