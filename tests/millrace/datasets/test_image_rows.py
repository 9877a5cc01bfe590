"""Labels that name a prediction of an image: the image comes back from where it was kept, as a training row."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image as Picture

from millrace.contract.load import load_contract
from millrace.contract.odcs import check_contract
from millrace.contract.row import check_row
from millrace.contract.rules.image import ImageFormat
from millrace.contract.rules.pixels import Encoding
from millrace.contract.schema import LINE, Column, Table, parsed_schema
from millrace.datasets.commits import commit
from millrace.datasets.decision_rows import GENERATED_DAYS
from millrace.datasets.examples import LABEL, Examples, entities_of, examples, label_of
from millrace.datasets.new_rows import Source, screen
from millrace.datasets.quarantine import QuarantineFile
from millrace.datasets.split import parts_by_hash
from millrace.datasets.tables import Lake
from millrace.decisions import captured
from millrace.decisions.record import canonical, from_line, prefix, to_line
from millrace.errors import SnapshotError, WorkloadError
from millrace.features import catalogue
from millrace.features.image import Image
from millrace.jobs.evaluation.rows import SplitRows, blocks_of
from millrace.names import WorkloadNames
from millrace.workload.declaration import Workload
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload
from tests import builders
from tests.millrace.datasets.test_decision_rows import join_all
from tests.shipped import ELECTRICITY, WORKLOADS

PREDICTION_SPEC = load_workload(WORKLOADS / "xray").prediction
IMAGES = pq.read_table(WORKLOADS / "xray" / "sample" / "pneumoniamnist.parquet").slice(0, 4).to_pylist()
ASKED = datetime(2024, 1, 8, 8, tzinfo=UTC)


@pytest.fixture
def xray(names: WorkloadNames) -> Lake:
    return Lake(replace(names, workload="xray"), load_contract(WORKLOADS / "xray"))


def ask(lake: Lake, s3: Any, images: list[dict[str, Any]]) -> None:
    """The decisions on the images, as the prediction function leaves them."""
    columns = captured.long_columns(lake.contract.table("scoring"))
    long = captured.LongCells(columns=columns, under=lake.names.lake_uri(captured.FOLDER, ""))
    rows = [
        {"id": one["id"], "at": ASKED.isoformat(), "image": base64.b64encode(one["image"]).decode()} for one in images
    ]
    inputs, contents = long.split(rows)
    captured.keep(s3, contents)
    lines = [
        to_line(
            builders.decision(
                id=f"p-{row['id']}",
                workload="xray",
                event_time=ASKED,
                key={"id": row["id"]},
                input=canonical(cells),
                output={"value": 1, "probability": 0.7, "confidence": 0.7},
            )
        )
        for row, cells in zip(rows, inputs, strict=True)
    ]
    bucket = lake.names.platform.bucket("lake")
    body = "".join(f"{line}\n" for line in lines).encode()
    s3.put_object(Bucket=bucket, Key=f"{prefix('xray', ASKED.date())}a.jsonl", Body=body)


def label(lake: Lake, images: list[dict[str, Any]], *, came: datetime) -> None:
    """The labels' time is that of their drop."""
    rows = pa.table({
        "id": [one["id"] for one in images],
        "at": pa.array([came] * len(images), pa.timestamp("us", "UTC")),
        "label": pa.array([one["label"] for one in images], pa.int32()),
        "prediction_id": [f"p-{one['id']}" for one in images],
        "_line": pa.array(range(len(images)), pa.int64()),
    })  # fmt: skip
    commit(
        lake, "labels", rows, Source(uri="s3://landing/x", key="xray/labels/x.csv", digest=str(came), written_by="r")
    )


def test_images_are_rows_again_as_they_were_asked_about(xray: Lake, cloud: Any) -> None:
    s3 = cloud.client("s3")
    ask(xray, s3, IMAGES)
    label(xray, IMAGES[:3], came=ASKED + timedelta(days=4))
    assert join_all(xray, s3, PREDICTION_SPEC, run="r1") == (3, 0, 0)
    found = sorted(xray.open("rows").scan().to_arrow().to_pylist(), key=lambda row: row["id"])
    assert [(row["id"], row["image"], row["label"], row["split"]) for row in found] == [
        (one["id"], one["image"], None, None) for one in IMAGES[:3]
    ]
    assert {row["at"] for row in found} == {ASKED}, "the row's time is the request's, not the label's"


@pytest.mark.parametrize(("days", "matched"), [(GENERATED_DAYS, 1), (GENERATED_DAYS + 1, 0), (-1, 0)])
def test_a_label_is_looked_for_in_the_days_before_it(xray: Lake, cloud: Any, days: int, matched: int) -> None:
    s3 = cloud.client("s3")
    ask(xray, s3, IMAGES[:1])
    label(xray, IMAGES[:1], came=ASKED + timedelta(days=days))
    assert join_all(xray, s3, PREDICTION_SPEC, run="r1") == (matched, 1 - matched, 0)


@pytest.mark.parametrize("body", [None, b"another"], ids=["expired", "altered"])
def test_an_image_that_is_not_there_is_no_training_row_and_holds_back_no_other(
    xray: Lake, cloud: Any, body: bytes | None
) -> None:
    s3 = cloud.client("s3")
    ask(xray, s3, IMAGES)
    bucket, digest = xray.names.platform.bucket("lake"), hashlib.sha256(IMAGES[0]["image"]).hexdigest()
    s3.delete_object(Bucket=bucket, Key=f"xray/{captured.FOLDER}/{digest}")
    if body:
        s3.put_object(Bucket=bucket, Key=f"xray/{captured.FOLDER}/{digest}", Body=body)
    label(xray, IMAGES[:3], came=ASKED + timedelta(days=4))
    assert join_all(xray, s3, PREDICTION_SPEC, run="r1") == (2, 0, 1)


@pytest.mark.parametrize("elsewhere", ["s3://another/xray/captured/", "s3://{lake}/gas/captured/", "http://{lake}/"])
def test_an_image_elsewhere_is_not_fetched(xray: Lake, cloud: Any, elsewhere: str) -> None:
    s3, bucket = cloud.client("s3"), xray.names.platform.bucket("lake")
    ask(xray, s3, IMAGES)
    key = f"{prefix('xray', ASKED.date())}a.jsonl"
    good = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode().splitlines()
    first = from_line(good[0])
    moved = first.input.replace(xray.names.lake_uri(captured.FOLDER, ""), elsewhere.format(lake=bucket))
    assert moved != first.input
    lines = [to_line(replace(first, input=moved)), *good[1:]]
    s3.put_object(Bucket=bucket, Key=key, Body="".join(f"{line}\n" for line in lines).encode())
    label(xray, IMAGES[:3], came=ASKED + timedelta(days=4))
    assert join_all(xray, s3, PREDICTION_SPEC, run="r1") == (2, 0, 1)


SHAPE = (3, 12, 12)


def table(encoding: Encoding) -> Table:
    scan = Column(name="scan", kind="binary", rules=(ImageFormat(encoding=encoding, shape=SHAPE),))
    return Table(name="rows", columns=(Column(name="id", kind="string", required=True), scan), keys=(("id",),))


def noise(encoding: Encoding) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return builders.picture(Picture.fromarray(pixels), encoding)


def dropped(cells: list[tuple[str, bytes | None]], encoding: Encoding, folder: Path) -> tuple[list[int], pa.Table]:
    """The lines that are accepted, and the rows that are refused."""
    judged, accepted = table(encoding), []
    rows = [{"id": key, "scan": cell, LINE: line} for line, (key, cell) in enumerate(cells, 1)]
    pq.write_table(pa.Table.from_pylist(rows, schema=parsed_schema(judged)), folder / "parsed")
    with QuarantineFile(folder / "refused", drop_id="r", source="s", as_of=datetime(2024, 1, 1, tzinfo=UTC)) as refused:
        screen(folder / "parsed", judged, lambda part: accepted.extend(part[LINE].to_pylist()), refused)
    return accepted, pq.read_table(folder / "refused")


def test_an_image_that_is_cut_off_does_not_use_up_its_key(tmp_path: Path) -> None:
    good = noise("jpeg")
    accepted, refused = dropped([("a", good[:-100]), ("a", good), ("b", None)], "jpeg", tmp_path)
    assert (accepted, refused["reason"].to_pylist()) == ([2, 3], ["image"])


@pytest.mark.parametrize("encoding", ["png", "jpeg"])
def test_a_drop_and_a_prediction_have_the_same_verdict_on_altered_images(encoding: Encoding, tmp_path: Path) -> None:
    """A prediction is judged by the header in the function, then by the data in the model's container."""
    good, rng = noise(encoding), np.random.default_rng(7)
    cells = [good, b""]
    for _ in range(300):
        altered = bytearray(good)
        altered[rng.integers(len(good))] ^= 1 << int(rng.integers(8))
        cells += [bytes(altered), good[: rng.integers(len(good))], good + bytes(altered)]
    accepted, refused = dropped([(f"{at}", cell) for at, cell in enumerate(cells)], encoding, tmp_path)
    model = Image(name="scan", encoding=encoding, shape=SHAPE)

    def predicted(cell: bytes) -> bool:
        row = {"id": "a", "scan": base64.b64encode(cell).decode()}
        return not check_row(row, table(encoding)) and bool(model.takes(pa.table({"scan": [cell]}))[0])

    expected = [line for line, cell in enumerate(cells, 1) if predicted(cell)]
    assert accepted == expected
    assert len(accepted) + refused.num_rows == len(cells)
    assert 100 < len(accepted) < len(cells) - 100, "some of them are good"


HOURS = 24 * 30
START = datetime(2024, 1, 1)  # noqa: DTZ001 the contract's time has no zone


def declared(**changes: Any) -> Workload:
    """A forecast of `load` 24 hours ahead from its last 6 hours, changed at the given dotted places."""
    document = yaml.safe_load((ELECTRICITY / "workload.yaml").read_text())
    document["prediction"] = {
        "task": "regression",
        "label": {"column": "load", "horizon_hours": 24},
        "key": ["city", "at"],
        "event_time": "at",
        "features": ["heat", {"name": "past", "history": ["load", "heat"], "hours": 6}],
    }
    document["training"] |= {"validation_days": 5, "test_days": 5}
    for place, value in changes.items():
        part, name = place.split("__")
        document[part][name] = value
    return Workload.model_validate(document)


def series(cities: str = "ab") -> pa.Table:
    """`load` counts the hours since START, and one hour of city b is missing."""
    rows = [
        {"city": city, "at": START + timedelta(hours=hour), "load": float(hour), "heat": float(hour % 24)}
        for hour in range(HOURS)
        for city in cities
        if (city, hour) != ("b", 200)
    ]
    kinds = [("city", pa.string()), ("at", pa.timestamp("us")), ("load", pa.float64()), ("heat", pa.float64())]
    return pa.Table.from_pylist(rows, schema=pa.schema(kinds))


def features(workload: Workload) -> catalogue.Features:
    from millrace.contract.schema import Column, Table

    columns = (
        Column(name="city", kind="string", required=True),
        Column(name="at", kind="timestamp", required=True),
        Column(name="load", kind="float64", label=True, is_input=True),
        Column(name="heat", kind="float64"),
        Column(name="part", kind="string"),
    )
    return catalogue.declare(workload.prediction.features, Table(name="rows", columns=columns))


def made(table: pa.Table, workload: Workload) -> Examples:
    return examples(table, workload=workload, features=features(workload))


@pytest.mark.parametrize("hours", [(24,), (1, 5, 24)])
def test_the_label_is_that_of_the_same_entity_some_hours_later(hours: tuple[int, ...]) -> None:
    """With several horizons a list of them, and null where one is missing."""
    quantiles = {"prediction__task": "forecast", "prediction__quantiles": [0.1, 0.9]} if hours[1:] else {}
    horizon = [*hours] if hours[1:] else hours[0]
    workload = declared(prediction__label={"column": "load", "horizon_hours": horizon}, **quantiles)
    table, wanted = series(), list[Any]()
    by_key = {(row["city"], row["at"]): row["load"] for row in table.to_pylist()}
    for row in table.to_pylist():
        cells = [by_key.get((row["city"], row["at"] + timedelta(hours=hour))) for hour in hours]
        wanted.append(None if None in cells else cells if hours[1:] else cells[0])
    assert label_of(table, workload.prediction).to_pylist() == wanted
    # Before a part a whole day is left out, the farthest horizon: no label of one part is a row of the next.
    found, later = made(table, workload), np.timedelta64(24, "h")
    assert found.times_N[found.parts.train].max() + later < found.parts.validation_from
    assert found.times_N[found.parts.validation].max() + later < found.parts.test_from
    assert found.times_N[found.parts.validation].min() == found.parts.validation_from


def test_several_labels_are_a_list_and_none_where_one_is_missing() -> None:
    workload = declared(prediction__task="multilabel", prediction__label=["wet", "dry"], prediction__features=["heat"])
    table = pa.table({"wet": [True, False, None, None], "dry": [False, None, True, None]})
    assert label_of(table, workload.prediction).to_pylist() == [[True, False], None, None, None]


def test_rows_without_a_label_or_without_a_whole_past_are_no_examples() -> None:
    table = made(series(), declared()).table
    assert table[LABEL].null_count == 0
    assert min(table["at"].to_pylist()) == START + timedelta(hours=5)
    assert max(table["at"].to_pylist()) == START + timedelta(hours=HOURS - 25)
    assert (table[LABEL].to_numpy() == table["load"].to_numpy() + 24).all()
    with pytest.raises(SnapshotError, match="expected rows with a label and a whole past, got none among 20"):
        made(series("a").slice(0, 20), declared())


def test_a_label_of_the_rows_own_leaves_out_no_row() -> None:
    plain = made(series(), declared(prediction__label="load"))
    assert plain.times_N[plain.parts.train].max() + np.timedelta64(1, "h") == plain.parts.validation_from


def divided(split: dict[str, Any], **changes: Any) -> Workload:
    """Not by time, so without days of its parts."""
    without_days = dict.fromkeys(("validation_days", "test_days", "walk_forward_steps"), 0)
    return declared(
        **{f"training__{name}": value for name, value in without_days.items()}, training__split=split, **changes
    )


def test_a_column_names_the_parts_and_rows_of_no_part_are_left_out() -> None:
    split = {"by": "column", "column": "part", "validation": "val"}
    workload = divided(split)
    names = ["test", "train", "val", "other", "train"]
    table = series()
    table = table.append_column("part", pa.array([names[row % 5] for row in range(table.num_rows)]))
    found = made(table, workload)
    for part, name in ((found.parts.train, "train"), (found.parts.validation, "val"), (found.parts.test, "test")):
        assert set(found.part(part)["part"].to_pylist()) == {name}
        times = found.times_N[part]
        assert (times[1:] >= times[:-1]).all()
    assert found.parts.test.stop == found.table.num_rows
    assert not found.parts.is_in_time
    with pytest.raises(SnapshotError, match="got no validation rows"):
        made(table.set_column(4, "part", pa.array(["train"] * table.num_rows)), workload)


def test_rows_without_a_part_are_left_out_or_divided_by_their_key() -> None:
    rows = series("abcdefghijklmnopqrst")
    given = pa.array([["train", "val", "test", None][number % 4] for number in range(rows.num_rows)])
    table = rows.append_column("part", given)
    by_column = {"by": "column", "column": "part", "validation": "val"}
    left_out = made(table, divided(by_column))
    assert left_out.table["part"].null_count == 0
    absent = {"by": "key_hash", "validation_share": 0.3, "test_share": 0.3}
    whole = made(table, divided(by_column | {"absent": absent}))
    assert whole.table.num_rows > left_out.table.num_rows
    for part, name in ((whole.parts.train, "train"), (whole.parts.validation, "val"), (whole.parts.test, "test")):
        assert set(whole.part(part)["part"].to_pylist()) == {name, None}


def test_the_last_rows_test_though_all_are_of_one_day() -> None:
    split = {"by": "row_order", "validation_share": 0.2, "test_share": 0.1}
    workload = divided(split, prediction__label="load")
    rows = series("a").slice(0, 15)  # the past of the first five is too short
    found = made(rows, workload)
    parts = [
        found.part(part)["heat"].to_pylist() for part in (found.parts.train, found.parts.validation, found.parts.test)
    ]
    assert parts == [list(range(5, 12)), [12, 13], [14]]
    assert not found.parts.is_in_time


def test_an_entity_keeps_its_part_whatever_others_come() -> None:
    keys = [f"patient {number}" for number in range(4000)]
    parts = parts_by_hash(keys, validation_share=0.1, test_share=0.2)
    assert abs((parts == 2).mean() - 0.2) < 0.02
    assert abs((parts == 1).mean() - 0.1) < 0.02
    np.testing.assert_array_equal(parts_by_hash(keys[::-1], validation_share=0.1, test_share=0.2), parts[::-1])


@pytest.mark.parametrize(
    ("split", "entity"),
    [
        ({"by": "key_hash", "validation_share": 0.2, "test_share": 0.2}, ("visit",)),
        ({"by": "group", "column": "patient"}, ("patient",)),
        ({"by": "group", "column": ["clinic", "patient"], "test_share": 0.3}, ("clinic", "patient")),
        ({"by": "group", "column": "scan", "pieces": 1}, ("patient",)),
        ({"by": "group", "column": "ward"}, ("ward", "alone")),
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_no_entity_stands_on_two_sides(split: dict[str, Any], entity: tuple[str, ...], seed: int) -> None:
    """Neither of the three parts, nor of the blocks that intervals draw, whatever the order of the rows."""
    rng, rows = np.random.default_rng(seed), 600
    workload = divided(split, prediction__label="load", prediction__key=["visit"], prediction__features=["heat"])
    patients, has_ward = rng.integers(0, 60, rows).astype(str), rng.random(rows) < 0.9
    table = pa.table(
        {
            "visit": pa.array(rng.permutation(rows)),
            "at": pa.array(
                np.sort(rng.integers(0, 90 * 86_400, rows)).astype("datetime64[s]").astype("datetime64[us]")
            ),
            "patient": pa.array(patients),
            "scan": pa.array([f"{patient}-{row}" for row, patient in enumerate(patients)]),
            "ward": pa.array(patients, mask=~has_ward),
            "alone": pa.array(np.where(has_ward, -1, np.arange(rows))),
            "clinic": pa.array(rng.integers(0, 4, rows)),
            "load": rng.normal(0, 1, rows),
            "heat": rng.normal(0, 1, rows),
        }
    )
    found = made(table, workload)
    parts = (found.parts.train, found.parts.validation, found.parts.test)
    names = [{tuple(row[name] for name in entity) for row in found.part(part).to_pylist()} for part in parts]
    assert sum(map(len, names)) == len(set.union(*names))
    rows_of = SplitRows(table=found.table, times_N=found.times_N, target_N=np.zeros(0), parts=found.parts)
    blocks = blocks_of(rows_of, found.parts.test, workload)
    if split["by"] == "group":
        of_entity = list(
            zip(entities_of(found.part(found.parts.test), workload).tolist(), blocks.tolist(), strict=True)
        )
        assert len(set(of_entity)) == len(names[2])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"training__validation_days": 0}, "1 or more for a split by time"),
        ({"training__split": {"by": "column", "column": "part"}}, "no validation_days"),
        ({"prediction__label": {"column": "load"}}, "column and horizon_hours"),
        ({"prediction__label": {"column": "load", "horizon_hours": -1}}, "greater than or equal to 0"),
    ],
)
def test_a_split_or_a_label_that_cannot_work_is_refused(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        declared(**changes)


def test_only_a_label_that_is_predicted_ahead_may_be_an_input(tmp_path: Path) -> None:
    document = yaml.safe_load((ELECTRICITY / "contract.yaml").read_text())
    folder = tmp_path / "electricity"
    folder.mkdir()
    for table in document["schema"]:
        label = next(column for column in table["properties"] if column["name"] == "class")
        label["customProperties"].append({"property": "input", "value": True})
    (folder / "contract.yaml").write_text(yaml.safe_dump(document))
    assert "class" in load_contract(folder).table("scoring").names
    plain = Workload.model_validate(yaml.safe_load((ELECTRICITY / "workload.yaml").read_text()))
    with pytest.raises(WorkloadError, match="class: expected the custom property input"):
        check_fit(plain, check_contract(folder))
    ahead = plain.model_copy(update={"prediction": plain.prediction.model_copy(update={"horizon_hours": 24.0})})
    check_fit(ahead, check_contract(folder))
    with pytest.raises(WorkloadError, match="class: expected the custom property input"):
        check_fit(ahead, check_contract(ELECTRICITY))


def test_one_far_date_costs_itself_and_no_training(capsys: pytest.CaptureFixture[str]) -> None:
    far = [{"city": "a", "at": datetime(year, 12, 31), "load": 1.0, "heat": 1.0} for year in (1900, 9999)]  # noqa: DTZ001
    table = pa.concat_tables([series(), pa.Table.from_pylist(far, schema=series().schema)]).sort_by("at")
    workload = declared(prediction__label={"column": "load", "horizon_hours": 0}, prediction__features=["heat"])
    good, found = made(series().sort_by("at"), workload), made(table, workload)
    assert (found.parts, found.table) == (good.parts, good.table)
    assert "left out 2 of" in capsys.readouterr().out
