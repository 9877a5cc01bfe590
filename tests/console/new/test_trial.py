"""The trial of a proposal: what it runs, what it chooses, and that equal rows give an equal proposal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from millrace.console.actions.part import make_part
from millrace.console.new.declare import usual_family
from millrace.console.new.families import PartAtHand, with_intervals
from millrace.console.new.features import Features
from millrace.console.new.proposal import Proposal, propose
from millrace.console.new.read import read_source
from millrace.console.new.remarks import behind_rule, hardly_right
from millrace.console.new.roles import Choices
from millrace.console.new.times import Series
from millrace.console.new.trial import Candidate, Trial, candidates, run_trial
from millrace.console.new.writing import write
from millrace.evaluation.naive.catalogue import NAIVE_RULES
from millrace.messages.trial import Tried
from millrace.workload.fit import check_pretrained_file
from millrace.workload.load import load_workload
from tests.console.new.conftest import TODAY, Row, as_file, proposed
from tests.kinds import scans
from tests.millrace.evaluation.gates.test_catalogue import report

FIRST = datetime(2023, 1, 2)  # noqa: DTZ001 the file says no zone
SENTENCES = Path(__file__).resolve().parents[3] / "workloads" / "intents" / "sample" / "clinc150.parquet"
NO_FEATURES = Features(columns=("x",), derived=(), others=())


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prices with a tail, which depend on two numbers and a word."""
    draws = np.random.default_rng(0)
    rows = [
        {
            "size": round(float(size), 2),
            "age": int(age),
            "place": ("north", "south")[int(age) % 2],
            "price": round(float(np.exp(size / 2 + (age % 2) + noise)), 2),
        }
        for size, age, noise in zip(
            draws.uniform(1, 9, 240), draws.integers(0, 40, 240), draws.normal(0, 0.1, 240), strict=True
        )
    ]
    return as_file(rows, tmp_path_factory.mktemp("trial") / "prices.csv")


@pytest.fixture(scope="module")
def tried(prices: Path) -> Proposal:
    return propose(read_source(prices), Choices(name="prices", label="price"), today=TODAY, minutes=30)


def test_candidates_stand_beside_the_rule_and_two_simple_models(tried: Proposal) -> None:
    found = tried.trial.tried
    assert [each.name for each in found if each.who == "rival"] == ["naive", "linear", "boosted_trees"]
    assert [each.name for each in found if each.who == "candidate"] == ["0", "1", "2"]
    assert min(each.behind for each in found if each.who == "candidate") == 0
    assert {(each.rows, each.measure) for each in found} == {(tried.rehearsal.rows[1], "error")}
    figures = {(each.who, each.name): each.figure for each in found}
    assert figures["candidate", "0"] < figures["rival", "naive"] / 2, "the price follows from the columns"


def test_the_workload_declares_what_the_trial_chose_and_says_what_it_gained(tried: Proposal) -> None:
    training = yaml.safe_load(tried.workload_yaml)["training"]
    assert training["parameters"] == tried.trial.chosen.family.values
    assert len(tried.trial.lines) == 1 + len(tried.trial.tried)
    for line in tried.trial.lines:
        assert f"# {line}\n" in tried.workload_yaml


def test_equal_rows_give_an_equal_proposal(prices: Path, tried: Proposal) -> None:
    again = propose(read_source(prices), Choices(name="prices", label="price"), today=TODAY, minutes=30)
    assert again.workload_yaml == tried.workload_yaml


def judged(name: str, behind: float, deviation: float, who: str = "candidate") -> Tried:
    numbers = {"figure": 1 + behind, "behind": behind, "deviation": deviation, "rows": 100, "seconds": 1.0}
    return Tried.model_validate({"who": who, "name": name, "measure": "error", **numbers})


@pytest.mark.parametrize(
    ("behind", "chosen"),
    [
        ((0.3, 0.1, 0.0), 2),
        ((0.3, 0.04, 0.0), 1),
        ((0.04, 0.04, 0.0), 0),
        ((0.0, 0.3, 0.2), 0),
        ((None, 0.3, 0.0), 2),
        ((0.3, None, 0.0), 1),
        ((), 1),
    ],
)
def test_a_plainer_one_is_chosen_within_one_standard_error(behind: tuple[float | None, ...], chosen: int) -> None:
    """None: it was not done in time. A rival that is best of all is no candidate."""
    found = tuple(
        Candidate(said=str(number), features=NO_FEATURES, family=with_intervals(100 + number, 1)) for number in range(3)
    )
    tried = [judged(str(at), by, 0.05 if by else 0.0) for at, by in enumerate(behind) if by is not None]
    tried += [judged("linear", -0.1, 0.05, who="rival")] * bool(tried)
    trial = Trial(candidates=found, usual=found[1], tried=tuple(tried))
    assert trial.chosen is found[chosen]


def test_a_trial_that_fails_says_why_and_the_kind_of_data_decides(tried: Proposal) -> None:
    trial = replace(tried.trial, tried=(), problem="no torch")
    assert trial.chosen is trial.usual
    [line] = trial.lines
    assert "no torch" in line


def test_one_candidate_that_fails_ends_no_other(tried: Proposal) -> None:
    """The label of the second lies hours ahead, where no row of its key is."""
    good = yaml.safe_load(tried.workload_yaml)
    bad = {**good, "prediction": {**good["prediction"], "label": {"column": "price", "horizon_hours": 7}}}
    documents = [yaml.safe_dump(good), yaml.safe_dump(bad)]
    found, failed, problem = run_trial(documents, tried.contract_yaml, tried.accepted, usual=0, minutes=30)
    assert [each.name for each in found if each.who == "candidate"] == ["0"]
    assert [(each.who, each.name) for each in failed] == [("candidate", "1")]
    assert not problem
    trial = replace(tried.trial, candidates=tried.trial.candidates[:2], tried=found, failed=failed)
    assert failed[0].why in trial.lines[-1]


@pytest.mark.parametrize("texts", [("place",), ()], ids=["beside texts", "columns"])
@pytest.mark.parametrize("is_in_time", [False, True])
def test_every_family_is_tried_on_the_scale_of_a_label_with_a_tail(
    texts: tuple[str, ...], is_in_time: bool, tried: Proposal
) -> None:
    prediction = replace(tried.prediction, texts=texts, is_in_time=is_in_time)
    usual = usual_family(prediction, tried.naive, 240)
    found = candidates(usual, NO_FEATURES, prediction, None, tried.rehearsal)
    assert usual in [one.family for one in found]
    scales = [one.family.values.get("label_scale", "identity") for one in found if one.family.name == usual.name]
    assert {*scales} == {"identity", "log"}
    assert len({one.said for one in found}) == len(found)


@pytest.mark.parametrize(("wrong", "warns"), [(0.05, False), (0.5, True), (None, False)])
def test_a_model_no_better_than_the_class_of_most_rows_is_warned_of(
    wrong: float | None, warns: bool, tried: Proposal
) -> None:
    validated = tried.rehearsal.rows[1]
    target_N = np.arange(len(tried.rehearsal.target_N)) % 5 == 0  # four in five rows are of one class
    found = tuple(one.model_copy(update={"wrong": wrong}) for one in tried.trial.tried)
    reading = replace(tried.reading, guesses={**tried.guesses, "kind": replace(tried.guesses["kind"], value="binary")})
    rehearsal = replace(tried.rehearsal, target_N=target_N)
    proposal = replace(tried, trial=replace(tried.trial, tried=found), reading=reading, rehearsal=rehearsal)
    assert validated > 5
    assert bool(hardly_right(proposal)) is warns
    assert ("threshold" in hardly_right(proposal)) is warns


@pytest.mark.parametrize(
    ("rule", "series", "step"), [(0.5, True, "--horizon-steps 24"), (0.5, False, "more rows"), (2, True, "")]
)
def test_a_model_behind_the_rule_is_warned_of(rule: float, series: bool, step: str, tried: Proposal) -> None:
    model = tried.trial.model
    assert model is not None
    figures = {"naive": rule * model.figure}
    found = tuple(one.model_copy(update={"figure": figures.get(one.name, one.figure)}) for one in tried.trial.tried)
    hourly = Series(every_hours=1.0) if series else None
    proposal = replace(tried, trial=replace(tried.trial, tried=found), series=hourly)
    assert bool(behind_rule(proposal)) is bool(step)
    assert step in behind_rule(proposal)


def test_a_longer_history_reaches_over_the_season_of_a_week(tmp_path: Path) -> None:
    rows = [
        {"time": (FIRST + timedelta(hours=at)).isoformat(), "load": round(np.sin(at / 27) + at % 7 / 10, 4)}
        for at in range(60 * 24)
    ]
    choices = Choices(name="load", label="load", horizon_hours=24)
    found = propose(read_source(as_file(rows, tmp_path / "load.csv")), choices, today=TODAY)
    features = Features(columns=found.prediction.features, derived=found.prediction.derived, others=())
    usual = usual_family(found.prediction, found.naive, len(rows))
    tried = candidates(usual, features, found.prediction, found.series, found.rehearsal)
    hours = [[each["hours"] for each in one.features.derived if "hours" in each] for one in tried]
    assert hours == [[], [24], [24], [168], [168]]
    assert (usual, features) in [(one.family, one.features) for one in tried]


def sentences() -> pa.Table:
    """480 sentences of 60 intents."""
    rows = pq.read_table(SENTENCES).to_pylist()
    intents = sorted({row["intent"] for row in rows} - {"oos"})[:60]
    chosen = [row for intent in intents for row in [one for one in rows if one["intent"] == intent][:8]]
    return pa.Table.from_pylist(chosen).select(["text", "intent"])


@pytest.mark.parametrize(
    ("model", "rows", "label", "gains"),
    [("minilm", sentences, "intent", True), ("efficientnet-lite0", lambda: scans().slice(0, 300), "label", False)],
)
def test_an_encoder_at_hand_is_proposed_where_it_gains(
    model: str, rows: Callable[[], pa.Table], label: str, gains: bool, tmp_path: Path
) -> None:
    file, part = tmp_path / "rows.parquet", PartAtHand(path=tmp_path / f"{model}.safetensors")
    make_part(model, part.path)
    pq.write_table(rows(), file)
    found = propose(read_source(file), Choices(name="said", label=label), today=TODAY, minutes=30, part=part)
    usual, given = (one for one in found.trial.tried if one.who == "candidate")
    assert (usual.behind > usual.deviation) is gains
    assert (found.trial.chosen.family.part == part) is gains
    if not gains:
        return
    assert any(model in line and line.endswith("proposed") for line in found.trial.lines)
    made = write(found, tmp_path / "workloads", tmp_path / "drops", force=False).folder
    workload = load_workload(made)
    assert check_pretrained_file(workload, made) == made / "parts" / part.path.name
    assert given.figure < usual.figure
    assert (made / "parts" / part.path.name).read_bytes() == part.path.read_bytes()


Writer = Callable[..., Path]
FIRST_REHEARSAL = datetime.fromisoformat("2020-01-01")
ROWS = 60 * 24


def hours(label: Callable[[int], object]) -> list[Row]:
    noise = np.random.default_rng(0).random(ROWS)
    return [
        {
            "time": (FIRST_REHEARSAL + timedelta(hours=at)).isoformat(),
            "noise": round(float(noise[at]), 4),
            "label": label(at),
        }
        for at in range(ROWS)
    ]


def test_a_model_worse_than_the_median_of_a_tail_is_refused(as_csv: Writer) -> None:
    amounts = np.random.default_rng(4).lognormal(6, 1.6, ROWS).round(2)
    found = proposed(as_csv(hours(lambda at: float(amounts[at]))), label="label", unit="EUR")
    assert found.naive.rule == "always the median"
    baseline = yaml.safe_load(found.workload_yaml)["gates"]["baseline"]
    tested = amounts[-found.rehearsal.rows[2] :]
    # A model whose answers all lie between the median and the mean: by the mean it would pass.
    worse = float(np.abs(tested - (np.median(amounts) + np.mean(amounts)) / 2).mean())
    by_mean = float(np.abs(tested - np.mean(amounts)).mean())
    for kind, naive, passes in (("median", found.naive.error, False), ("mean", by_mean, True)):
        rule = NAIVE_RULES[kind].model_validate(baseline | {"kind": kind})
        changes = {"metrics": {"error": worse}, "naive": {"rule": kind, "metrics": {"error": naive}}}
        assert rule.judge(report("number", changes)).passed is passes
    assert baseline["kind"] == "median"
    assert "  huber: 0.03   # of a label with a tail" in found.workload_yaml
