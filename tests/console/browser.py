"""The browser of `make static`, driven by a script of ours that prints what it saw as JSON."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BROWSERS = Path(__file__).resolve().parents[2] / "build" / "static"
"""Where `make static` brings the browser and what drives it."""
packed = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="no browser is packed for this machine"
)


def drive(script: Path, address: str, folder: Path) -> dict[str, Any]:
    """What the script prints that opens the address. The browser unpacks itself below `folder`."""
    # The browser unpacks a font of its own below TMPDIR; without one letters have no width.
    (folder / "fonts.conf").write_text(f"<fontconfig><dir>{folder / 'fonts'}</dir></fontconfig>")
    ran = subprocess.run(
        [Path(sys.executable).with_name("node"), "--input-type=module", "-", address],
        input=script.read_text(),
        cwd=BROWSERS,
        # Named as a function's runtime, the browser is unpacked together with the libraries it needs.
        env={
            **os.environ,
            "TMPDIR": str(folder),
            "FONTCONFIG_PATH": str(folder),
            "AWS_LAMBDA_JS_RUNTIME": "nodejs22.x",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    seen: dict[str, Any] = json.loads(ran.stdout)
    return seen
