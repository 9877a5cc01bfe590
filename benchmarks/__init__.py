"""What things cost: each prints its figure and, as the last line, a JSON object; a missed bar is exit status 1."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any


def conclude(result: Mapping[str, Any]) -> None:
    """Print the result as one line of JSON; exits with 1 where a bar is missed."""
    print(json.dumps(result))
    if not result["holds"]:
        sys.exit(1)
