"""The page shows what a model was judged by beside its error."""

from __future__ import annotations

from dataclasses import replace

from console.pages.evidence import evidence
from console.pages.page import page
from console.pages.summary import summary
from console.queries.report import JudgedModel, WorkloadReport
from millrace.evaluation.evidence import (
    Contender,
    Disparity,
    Estimate,
    FairnessEvidence,
    FeatureLeak,
    GroupFigures,
    LeakageEvidence,
    PerturbedFigures,
    RobustnessEvidence,
    SliceFigures,
    SlicesEvidence,
)
from millrace.evaluation.report import Evaluation


def near(value: float) -> Estimate:
    return Estimate(value=value, low=value - 0.01, high=value + 0.01)


def judged(evaluation: Evaluation) -> Evaluation:
    candidate = Contender(who="candidate", name="this model", rows=900, scores={"error": near(0.2)})
    trees = Contender(
        who="simple",
        name="boosted trees",
        rows=900,
        scores={"error": near(0.25)},
        improvements={"error": near(0.05)},
    )
    slices = (
        SliceFigures(column="region", value="<north>", rows=300, error=near(0.1)),
        SliceFigures(column="region", value="south", rows=590, error=near(0.3)),
        SliceFigures(column="region", value="west", rows=10),
    )
    groups = (GroupFigures(column="sex", value="f", rows=400, error=0.2, selection_rate=0.111, true_positive_rate=0.7),)
    apart = Disparity(
        column="sex", measure="demographic_parity_ratio", figure=near(0.9), lowest="f (0.111)", highest="m (0.120)"
    )
    return evaluation.model_copy(
        update={
            "contenders": (candidate, trees),
            "slices": SlicesEvidence(slices=slices),
            "fairness": FairnessEvidence(groups=groups, disparities=(apart,)),
            "robustness": RobustnessEvidence(
                damaged=(PerturbedFigures(damage="5% missing cells", error=near(0.21), rise=near(0.01)),)
            ),
            "leakage": LeakageEvidence(features=(FeatureLeak(column="price", explained=0.444),), duplicates=0.0),
        }
    )


def with_evidence(report: WorkloadReport) -> WorkloadReport:
    models: list[JudgedModel] = []
    for model in report.models:
        assert model.evaluation is not None
        models.append(replace(model, evaluation=judged(model.evaluation)))
    return replace(report, models=tuple(models))


def test_every_part_is_a_table(report: WorkloadReport) -> None:
    html = page(with_evidence(report))
    for words in (
        "boosted trees",
        "25.0% (24.0 to 26.0)",
        "+5.0% (+4.0 to +6.0)",
        "region = south",
        "region = &lt;north&gt;",
        "11.1%",
        "sex: demographic parity ratio",
        "0.900 (0.890 to 0.910)",
        "5% missing cells",
        "44.4%",
    ):
        assert words in html, words
    assert html.index("region = south") < html.index("region = &lt;north&gt;"), "the worst slice first"
    assert "region = west" not in html


def test_an_older_report_has_no_tables(report: WorkloadReport) -> None:
    assert report.live is not None
    assert report.live.evaluation is not None
    bare = report.live.evaluation.model_copy(update={"contenders": ()})
    assert evidence(bare) == ()


def test_an_amount_has_its_unit_and_no_interval_is_said(report: WorkloadReport) -> None:
    assert report.live is not None
    assert report.live.evaluation is not None
    meaning = report.live.evaluation.error.model_copy(
        update={"name": "mean absolute error", "is_share": False, "unit": "µg/m³"}
    )
    nan = Estimate(value=53.123, low=float("nan"), high=float("nan"))
    alone = Contender(who="candidate", name="this model", rows=9, scores={"error": nan})
    (table,) = evidence(report.live.evaluation.model_copy(update={"error": meaning, "contenders": (alone,)}))
    assert table.head[2] == "mean absolute error, µg/m³"
    assert table.rows == (("this model", "9", "53.12, no interval", ""),)


def test_a_warning_of_the_live_version_is_said(report: WorkloadReport) -> None:
    live = report.live
    assert live is not None
    gate = live.version.gates[0].model_copy(update={"is_warning": True, "sentence": "they only tie"})
    warned = replace(live, version=replace(live.version, gates=(gate, *live.version.gates[1:])))
    whole = replace(report, models=tuple(warned if model is live else model for model in report.models))
    assert f"It passed the gate {gate.name} with a warning: they only tie." in summary(whole)
    assert '<td class="verdict watch">!</td>' in page(whole)
    assert "with a warning" not in summary(report)
