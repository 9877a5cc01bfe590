"""Model Monitor's files: theirs go through ours and back, ours say what rows say, captures are judged by them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from millrace.console.cli.app import app
from millrace.console.sagemaker.constraints import constraints_of
from millrace.console.sagemaker.monitor import Statistics, statistics_of, statistics_of_known
from millrace.monitoring.baseline import Baseline, of_windows
from tests.console.sagemaker.conftest import INPUTS, Stream, captures_of, csv_of

PUBLISHED: dict[str, Any] = json.loads(Path(__file__).with_name("published_monitor.json").read_text())["schema"]
"""The schema of the developer guide (Schema for Statistics), filled: every key that it has, with figures that agree."""
PUBLISHED["features"][0]["numerical_statistics"]["distribution"]["kll"]["sketch"]["data"] = [
    [(n + 0.5) / rows for n in range(rows)] for rows in (0, 0, 1_250, 0, 0, 2_968)
]


def test_the_published_statistics_go_through_and_back() -> None:
    statistics = Statistics.model_validate(PUBLISHED)
    assert json.loads(statistics.model_dump_json(exclude_unset=True)) == PUBLISHED
    back = statistics_of_known(statistics.known("statistics.json"), 100_000)
    assert _shape(back) == _shape(PUBLISHED)
    theirs, ours = (one["features"][0]["numerical_statistics"] for one in (PUBLISHED, back))
    assert ours["common"] == theirs["common"]
    for name in ("mean", "std_dev", "min", "max"):
        assert ours[name] == pytest.approx(theirs[name], abs=0.005), name
    buckets = zip(ours["distribution"]["kll"]["buckets"], theirs["distribution"]["kll"]["buckets"], strict=True)
    assert all(one["count"] == pytest.approx(other["count"], abs=1_000) for one, other in buckets)
    assert back["features"][1] == PUBLISHED["features"][1]


def _shape(value: Any) -> Any:
    """The keys, without what lies in a list of figures."""
    if isinstance(value, dict):
        return {key: _shape(one) for key, one in value.items() if key != "data"}
    return [_shape(one) for one in value] if isinstance(value, list) else None


def test_what_is_written_is_what_the_rows_say() -> None:
    numbers = np.random.default_rng(0).normal(5, 2, 10_001)
    whole = [None, *range(10_000)]
    statistics = statistics_of(
        pa.table({"x": numbers, "n": pa.array(whole, pa.float64()), "t": ["a", "b"] * 5_000 + ["a"]})
    )
    x, n, t = statistics["features"]
    found = x["numerical_statistics"]
    assert (found["mean"], found["std_dev"]) == (pytest.approx(numbers.mean()), pytest.approx(numbers.std()))
    assert sum(bucket["count"] for bucket in found["distribution"]["kll"]["buckets"]) == 10_001
    levels = found["distribution"]["kll"]["sketch"]["data"]
    assert sum(len(level) << height for height, level in enumerate(levels)) == 10_001
    assert max(map(len, levels)) <= 2048
    assert n["inferred_type"] == "Integral"
    assert t["string_statistics"]["distribution"]["categorical"]["buckets"][0] == {"value": "a", "count": 5_001.0}
    assert [one["completeness"] for one in constraints_of(statistics)["features"]] == [1.0, 10_000 / 10_001, 1.0]
    assert constraints_of(statistics)["features"][2]["string_constraints"] == {"domains": ["a", "b"]}
    assert [one["num_constraints"]["is_non_negative"] for one in constraints_of(statistics)["features"][:2]] == [
        False,
        True,
    ]


def test_a_baseline_of_ours_is_written(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    rows = pa.table({"x": draw.normal(0, 1, 4_000), "c": draw.choice(["a", "b"], 4_000), "k": np.ones(4_000)})
    baseline = of_windows(rows, np.arange(4_000) // 100, np.arange(40), workload="w", span=None, rate=0.01)
    (tmp_path / "baseline.json").write_text(baseline.to_json())
    assert Baseline.from_json(baseline.to_json()) == baseline
    words = ["sagemaker", "monitor", str(tmp_path / "baseline.json"), "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.exception
    x, c, k = json.loads((tmp_path / "out" / "statistics.json").read_text())["features"]
    assert x["numerical_statistics"]["mean"] == pytest.approx(np.mean(rows["x"].to_numpy()), abs=0.02)
    assert x["numerical_statistics"]["std_dev"] == pytest.approx(1, abs=0.05)
    assert c["string_statistics"]["common"] == {"num_present": 4_000, "num_missing": 0}
    assert (k["numerical_statistics"]["min"], k["numerical_statistics"]["max"]) == (1, 1)
    assert (tmp_path / "out" / "constraints.json").is_file()


def test_captures_are_judged_by_statistics_and_violations_are_written(tmp_path: Path, stream: Stream) -> None:
    """Quiet months do not alarm; the columns that come alive do, and their violations name them."""
    (tmp_path / "train.csv").write_text(csv_of(stream("1996-05-07", "1996-12-01"), INPUTS))
    run = CliRunner().invoke
    result = run(app, ["sagemaker", "monitor", str(tmp_path / "train.csv"), "--output", str(tmp_path / "baseline")])
    assert result.exit_code == 0, result.exception
    found = {}
    for name, last in (("quiet", "1997-05-01"), ("changed", "1997-05-25")):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("\n".join(captures_of(stream("1996-06-01", last))))
        words = ["sagemaker", "captures", str(path), "--baseline", str(tmp_path / "baseline" / "statistics.json")]
        result = run(app, [*words, "--output", str(tmp_path / name)])
        assert result.exit_code == 0, result.exception
        found[name] = json.loads((tmp_path / name / "constraint_violations.json").read_text())["violations"]
        assert Statistics.model_validate_json((tmp_path / name / "statistics.json").read_text())
    assert found["quiet"] == []
    assert {one["feature_name"] for one in found["changed"]} == {"vicprice", "vicdemand", "transfer"}
    assert {one["constraint_check_type"] for one in found["changed"]} == {"baseline_drift_check"}
