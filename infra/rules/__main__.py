"""Checks synthesized assemblies: `python -m millrace.infra.rules build/synth/dev build/synth/prod`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from millrace.infra.rules.assembly import read
from millrace.infra.rules.catalogue import TEMPLATE_RULES, findings


def main() -> int:
    """Print each place that breaks a rule, on a line of its own; the exit status, 1 if there is one."""
    parser = argparse.ArgumentParser(prog="python -m millrace.infra.rules", description=__doc__)
    parser.add_argument("assembly", type=Path, nargs="+", help="folder with templates, as cdk synth leaves it")
    found = []
    for folder in parser.parse_args().assembly:
        stacks = read(folder)
        broken = findings(stacks)
        found += [f"{folder}: {one}" for one in broken]
        print(f"{folder}: {len(TEMPLATE_RULES)} rules over {len(stacks)} stacks, {len(broken)} findings")
    print(*found, sep="\n", end="\n" if found else "", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
