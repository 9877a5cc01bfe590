"""Whether the bias metrics are those of Clarify's library: on 1,000 random tables each figure differs by at most 1e-9.

The tables have labels of each kind, facets by value, by threshold and one against all, subgroups, and groups or labels
that do not occur. A table that the library refuses must be refused."""

from __future__ import annotations

import json
import math
import random
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks import conclude
from benchmarks.peers import PEERS, environment
from millrace.console.sagemaker.clarify import AnalysisConfig, analyse
from millrace.errors import ConfigurationError

TABLES = 1_000
NEAR = 1e-9
STAGES = {"pre_training": "pre_training_bias", "post_training": "post_training_bias"}
Table = dict[str, Any]


def random_table(seed: int) -> Table:
    """A table of 15 to 250 rows and a configuration for it."""
    draw = random.Random(seed)
    rows = draw.randint(15, 250)
    facet, group = _facet(draw, rows)
    label, predicted, values = _labels(draw, rows)
    columns = {"facet": facet, "label": label, "predicted": predicted}
    columns["region"] = [draw.choice((1, 2, 3)) for _ in range(rows)]
    columns |= {f"x{number}": [draw.gauss(0, 1) for _ in range(rows)] for number in range(draw.randint(1, 4))}
    if draw.random() < 0.1:
        columns["text"] = [draw.choice("ab") for _ in range(rows)]
    config = {
        "label": "label",
        "label_values_or_threshold": values,
        "predicted_label": "predicted",
        "facet": [{"name_or_index": "facet"} | ({"value_or_threshold": group} if group else {})],
        "group_variable": "region",
        "methods": {stage: {"methods": "all"} for stage in STAGES.values()},
    }
    return {"columns": columns, "config": config}


def _facet(draw: random.Random, rows: int) -> tuple[list[Any], list[Any]]:
    """The column, and the value or threshold of the group; without one each value is a group."""
    kind = draw.choice(("texts", "numbers", "all"))
    if kind == "numbers":
        cells = [draw.uniform(18, 90) for _ in range(rows)]
        return cells, [draw.choice((30.0, 40.0, 65.0, 95.0))]
    share = draw.uniform(0.02, 0.7)
    texts = ["f" if draw.random() < share else draw.choice(("m", "m", "n")) for _ in range(rows)]
    return texts, draw.choice((["f"], ["f", "n"])) if kind == "texts" else []


def _labels(draw: random.Random, rows: int) -> tuple[list[Any], list[Any], list[Any]]:
    """The labels, the predicted ones and which of them are positive."""
    right = draw.choice((0.55, 0.8, 0.95, 1.0))
    kind = draw.choice(("texts", "whole", "numbers", "several"))
    if kind == "numbers":
        label = [draw.gauss(0, 1) for _ in range(rows)]
        return label, [one + draw.gauss(0, 1.1 - right) for one in label], [draw.choice((-0.5, 0.0, 1.0, 4.0))]
    positive = draw.choice((0.05, 0.4, 0.9, 1.0))
    words: tuple[Any, ...] = {"texts": ("yes", "no"), "whole": (1, 0), "several": ("gold", "silver", "none")}[kind]
    label = [words[0] if draw.random() < positive else draw.choice(words[1:]) for _ in range(rows)]
    predicted = [one if draw.random() < right else draw.choice(words) for one in label]
    return label, predicted, list(words[: len(words) - 1])


def ours(table: Table) -> dict[str, Any]:
    """Our report, in the form of the library's; a stage that is refused has an `error`."""
    rows, found = pa.table(table["columns"]), dict[str, Any]()
    for stage, method in STAGES.items():
        config = table["config"] | {"methods": {method: {"methods": "all"}}}
        try:
            analysis = analyse(rows, AnalysisConfig.model_validate(config), where="table")
        except ConfigurationError as error:
            found[stage] = {"error": str(error)}
            continue
        found[stage] = json.loads(analysis.model_dump_json(exclude_unset=True))[f"{stage}_bias_metrics"]["facets"][
            "facet"
        ]
    return found


def figures(stages: Mapping[str, Any]) -> dict[tuple[str, str, str], float | None]:
    """Each figure by stage, group and metric; a metric without one, and a refused stage, have None."""
    found = dict[tuple[str, str, str], float | None]()
    for stage, groups in stages.items():
        if "error" in groups:
            found[stage, "", ""] = None
            continue
        for one in groups:
            found |= {
                (stage, one["value_or_threshold"], each["name"]): None
                if each["value"] is None
                else float(each["value"])
                for each in one["metrics"]
            }
    return found


def differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """The figures that are not equal, in words."""
    one, other = figures(mine), figures(theirs)
    found = [f"{key}: only one has it" for key in one.keys() ^ other.keys()]
    return found + [
        f"{key}: {one[key]} and {other[key]}" for key in one.keys() & other.keys() if not _near(one[key], other[key])
    ]


def _near(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return one == other or math.isclose(one, other, rel_tol=NEAR, abs_tol=NEAR)


def theirs(tables: list[Table]) -> list[dict[str, Any]]:
    """The library's report on each table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tables.jsonl"
        path.write_text("".join(f"{json.dumps(table)}\n" for table in tables))
        command = [str(environment("bias")), str(PEERS / "bias.py"), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def verdict(*, tables: int, compared: int, different: int, refused: int) -> dict[str, Any]:
    return {
        "name": "bias",
        "tables": tables,
        "figures": compared,
        "different": different,
        "refused_stages": refused,
        "holds": tables >= TABLES and compared >= 20 * tables and different == 0,
    }


def main() -> None:
    tables = [random_table(seed) for seed in range(TABLES)]
    mine, other = [ours(table) for table in tables], theirs(tables)
    wrong = [
        f"table {seed}: {one}" for seed, pair in enumerate(zip(mine, other, strict=True)) for one in differences(*pair)
    ]
    for line in wrong[:20]:
        print(line)
    compared = [figure for one in mine for figure in figures(one).values()]
    refused = sum("error" in stage for one in mine for stage in one.values())
    conclude(verdict(tables=len(tables), compared=len(compared), different=len(wrong), refused=refused))


if __name__ == "__main__":
    main()
