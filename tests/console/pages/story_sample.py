"""A story as the demo tells it, with invented figures: for looking at the page and for its tests."""
# ruff: noqa: E501 - a table of figures

import math
from datetime import UTC, date, datetime, timedelta

from console.pages.story import (
    Alarm,
    Bin,
    Candidate,
    Cost,
    Drop,
    Epoch,
    Fact,
    Gate,
    Happening,
    Link,
    Mark,
    Reason,
    Reign,
    Span,
    Story,
    Training,
    Window,
)


def at(day: str, hour: int = 6) -> datetime:
    return datetime.fromisoformat(f"{day}T{hour:02}:00:00").replace(tzinfo=UTC)


def windows() -> tuple[Window, ...]:
    first = date(1997, 1, 1)
    drift = [
        0.42,
        0.51,
        0.47,
        0.66,
        0.58,
        0.39,
        0.71,
        0.62,
        0.55,
        0.8,
        0.74,
        0.49,
        0.6,
        0.52,
        0.68,
        0.57,
        0.63,
        21.4,
        27.9,
        31.2,
        29.5,
        0.64,
        0.71,
        0.58,
        0.77,
    ]
    error = [
        0.61,
        0.55,
        0.7,
        0.66,
        0.58,
        0.73,
        0.69,
        0.81,
        0.64,
        0.77,
        0.72,
        0.8,
        0.69,
        0.75,
        0.83,
        0.79,
        0.88,
        0.97,
        1.12,
        1.06,
        0.94,
        0.63,
        0.66,
        0.6,
        None,
    ]
    return tuple(
        Window(
            start=first + timedelta(days=7 * number),
            end=first + timedelta(days=7 * number + 7),
            rows=336,
            drift=drift[number],
            column="vicprice" if drift[number] > 1 else "nswprice",
            error=error[number],
            error_in_a_row=in_a_row(error, number),
            version="1" if number < 21 else "2",
        )
        for number in range(25)
    )


def in_a_row(error: list[float | None], number: int) -> float | None:
    """The lowest of three; None where one of them is not known."""
    row = [value for value in error[max(number - 2, 0) : number + 1] if value is not None]
    return min(row) if len(row) == 3 else None


def reliability() -> tuple[Bin, ...]:
    return tuple(
        Bin(confidence=0.55 + 0.1 * number, accuracy=0.5 + 0.1 * number, rows=60 * (number + 1)) for number in range(5)
    )


def spans() -> tuple[Span, ...]:
    ran = [
        ("people", "put training", 0.2, 0.1),
        ("ingest", "ingest: 1,488 rows", 0.6, 4.0),
        ("train", "train (first): version 1", 4.7, 5.4),
    ]
    refused = Span(
        lane="retrain", name="retrain: refused, cool-down until 1997-07-06", start_s=14.0, seconds=0.05, tone="bad"
    )
    return (
        *(Span(lane=lane, name=name, start_s=start_s, seconds=seconds) for lane, name, start_s, seconds in ran),
        refused,
    )


def epochs(count: int, floor: float) -> tuple[Epoch, ...]:
    return tuple(
        Epoch(
            epoch=epoch,
            train_loss=floor - 0.03 + 0.3 * math.exp(-epoch / 4),
            validation_loss=floor + 0.24 * math.exp(-epoch / 3) + 0.0012 * max(0, epoch - 12),
            validation_error=0.16 + 0.2 * math.exp(-epoch / 4),
            seconds=0.21,
        )
        for epoch in range(1, count + 1)
    )


def gates(*, refused: bool = False) -> tuple[Gate, ...]:
    return (
        Gate(name="baseline", wanted="accuracy ≥ 0.684", measured="0.812", passed=True),
        Gate(name="calibration", wanted="error ≤ 0.15", measured="0.041", passed=True),
        Gate(name="latency", wanted="p99 ≤ 50 ms", measured="1.9 ms", passed=True),
        Gate(name="size", wanted="≤ 10 MB", measured="0.05 MB", passed=True),
        Gate(
            name="non-inferiority",
            wanted="≥ −0.02 (95 %)",
            measured="−0.031" if refused else "+0.012",
            passed=not refused,
        ),
    )


def drops() -> tuple[Drop, ...]:
    months = [f"1996-{month:02}" for month in range(5, 13)]
    rows = [1200, 1440, 1488, 1488, 1440, 1488, 1440, 1488]
    training = [
        Drop(
            name=f"training/{month}.parquet",
            feed="training",
            accepted=count,
            quarantined=0,
            snapshot=f"58213379{number}041",
        )
        for number, (month, count) in enumerate(zip(months, rows, strict=True))
    ]
    return (
        *training,
        Drop(
            name="scoring/week.csv",
            feed="scoring",
            accepted=335,
            quarantined=1,
            reasons=(Reason(code="range", rows=1, example="nswdemand: expected <= 1, came 17.5"),),
        ),
        Drop(
            name="labels/1997-05.csv",
            feed="labels",
            accepted=1488,
            quarantined=48,
            reasons=(
                Reason(
                    code="duplicate_key",
                    rows=48,
                    example="timestamp: expected a key that comes once, came 1997-05-04 00:00:00, first on line 146",
                ),
            ),
            snapshot="7731904450122",
        ),
    )


STORY = Story(
    workload="electricity",
    question="Will the price of electricity in New South Wales be above its recent average in this half hour?",
    summary="A model was trained on eight months of 1996, released, and left to decide. On 4 May 1997 Victoria joined the market: three columns that had never moved began to. The monitors saw it within the week, a second model was trained and passed its gates, and decides since 1 June.",
    made_at=at("2026-11-20", 8),
    stage="local",
    facts=(
        Fact(figure="8,688", what="decisions, each kept with its input"),
        Fact(figure="2", what="model versions released"),
        Fact(figure="49", what="rows quarantined, none lost"),
        Fact(figure="41.2 s", what="for fourteen months"),
        Fact(figure="2,913", what="calls to AWS's API"),
        Fact(figure="$ 1.87", what="what it would cost on AWS"),
    ),
    windows=windows(),
    reigns=(
        Reign(version="1", start=date(1997, 1, 1), end=date(1997, 6, 1)),
        Reign(version="2", start=date(1997, 6, 1), end=date(1997, 6, 25)),
    ),
    alarms=(
        Alarm(name="input drift", at=date(1997, 5, 7), monitor="drift"),
        Alarm(name="error", at=date(1997, 5, 27), monitor="error"),
    ),
    happenings=(
        Happening(at=at("1997-01-01", 8), what="Eight drops came in", detail="11,472 labelled rows, May to December 1996"),
        Happening(at=at("1997-01-01", 8), what="First training", detail="11,472 rows reached the 11,000 that start it", tone="plain"),
        Happening(at=at("1997-01-01", 8), what="Version 1 released", detail="passed five gates, answered a real prediction, no champion before it", tone="good"),
        Happening(at=at("1997-01-01", 8), what="A file was scored", detail="335 predictions delivered, 1 record quarantined: nswdemand 17.5"),
        Happening(at=at("1997-06-01"), what="Alarm: input drift", detail="vicprice at 31 times its bound", tone="bad"),
        Happening(at=at("1997-06-01"), what="Retraining accepted", detail="evidence: drift and error; 7,296 new labels", tone="watch", because="alarm: input drift", seconds=9.1),
        Happening(at=at("1997-06-01"), what="Version 2 released", detail="not inferior to version 1 on the last 28 days", tone="good"),
        Happening(at=at("1997-07-01", 7), what="Retraining refused", detail="cool-down of 35 days until 6 July 1997", tone="watch"),
    ),
    drops=drops(),
    trainings=(
        Training(version="1", run="f3a9c1e0-6b1d-4f0e-8a77-2f1f0c6a9b10", reason="first", rows=11472, snapshot="582133797041", as_of=at("1997-01-01"), epochs=epochs(24, 0.42)),
        Training(version="2", run="0c6a9b10-4f0e-8a77-6b1d-f3a9c1e02f1f", reason="alarm", rows=18816, snapshot="7731904450122", as_of=at("1997-06-01"), epochs=epochs(30, 0.40)),
    ),
    candidates=(
        Candidate(name="version 1", gates=gates()[:4], note="No champion to compare with.", reliability=reliability()),
        Candidate(name="version 2", gates=gates(), note="After an alarm: compared with version 1 on the last 28 days of labels."),
        Candidate(name="run 77ab", gates=gates(refused=True), note="Refused; version 2 stays."),
    ),
    lineage=(
        Link(what="drop", identity="s3://millrace-local-landing/electricity/training/1996-12.parquet", detail="1,488 rows, digest 9c1f…"),
        Link(what="dataset version", identity="snapshot 582133797041", detail="11,472 rows, contract 41d0…"),
        Link(what="training", identity="run f3a9c1e0-6b1d", detail="code 2b77…, configuration 90aa…"),
        Link(what="model", identity="sha256 7d0e5b1c…", detail="weights and ONNX graph by digest"),
        Link(what="model version", identity="model-package/millrace-local-electricity/1", detail="approved after five gates"),
        Link(what="decision", identity="8f507cfc-1d2d-4a1d-9a4f-0d2a4c2f6c1b-17", detail="2 Jan 1997 08:30, above average, confidence 0.83"),
    ),
    spans=spans(),
    marks=(Mark(name="Jan", at_s=0.0), Mark(name="Feb", at_s=0.1), Mark(name="Jun", at_s=12.0)),
    costs=(
        Cost(what="training, ml.m5.large", quantity="2 jobs, 0.06 h", usd=0.01, source="list price, 2026-10"),
        Cost(what="endpoint, ml.m5.large", quantity="1 instance, 12 h", usd=1.38, source="list price, 2026-10"),
        Cost(what="Step Functions", quantity="412 transitions", usd=0.0103, source="list price, 2026-10"),
        Cost(what="Lambda", quantity="310 calls, 96 GB-s", usd=0.0013, source="list price, 2026-10"),
    ),
    notes=(
        "Containers ran as processes of this machine; SageMaker's own scheduling, spot interruptions and instance types were simulated.",
        "The error of a window is known when its labels have come, a day later.",
    ),
)  # fmt: skip
