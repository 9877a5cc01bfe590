"""Images through the whole loop: an archive is dropped, a model goes live, errs on another source's images, learns.

People decide images beside the answers of the new version, and before them, until they have let it go live."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from millrace.aws.objects import keys_below, read_object, split_uri
from millrace.console.demo.run import run_in_cloud
from millrace.console.demo.xray import HEAD, RADIOLOGIST, SAMPLE, STORY, TO_SCORE, WEEKLY, play, read_sample
from millrace.console.environment import local_environment
from millrace.console.local_cloud.local_cloud import SECRET_VARIABLE, LocalCloud, started
from millrace.console.queries.decisions import find_days, newest_decision
from millrace.console.queries.drops import find_rows
from millrace.console.queries.lineage import trace
from millrace.console.queries.report import WorkloadReport
from millrace.decisions import captured
from millrace.decisions.record import Decision, to_line
from millrace.decisions.scored import delivered_key
from millrace.monitoring.answers import MEAN_SHIFT
from millrace.state.reviews import ReviewQueue
from millrace.workload.load import load_workload
from tests import builders
from tests.end_to_end.conftest import control
from tests.end_to_end.everything import check_forgotten, whereabouts

pytestmark = pytest.mark.night("by day texts live through all kinds' story, and functions read images")
WEEKS = 4
"""Two until the alarm, which needs two windows of errors; one in which a radiologist decides images of the model that
was trained then; one in which it answers. They are within the cool-down: no alarm trains a third."""
ARCHIVE, LATER = read_sample(SAMPLE)
PEOPLE = {row["id"]: row["image"] for row in pa.concat_tables([ARCHIVE, LATER]).to_pylist()}
HUNDRED = 100
NAME, PNG = (
    re.compile(rb"(?<![\w-])(?:walk-in|(?:train|val|test)-\d{4})(?![\w-])"),
    re.compile(rb"\x89PNG.*?IEND", re.S),
)
NAMES = STORY.names
ASSISTED = load_workload(STORY.folder).rollout.assisted


@dataclass(frozen=True, kw_only=True)
class Loop:
    """The cloud after these weeks, which stays up."""

    cloud: LocalCloud
    report: WorkloadReport
    page: str
    decisions: tuple[Decision, ...]


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    build = tmp_path_factory.mktemp("xray")
    story = replace(STORY, play=partial(play, weeks=WEEKS))
    with started(build, clock=STORY.start, workloads=[STORY.workload]) as cloud:
        demo = run_in_cloud(cloud, build, story, said=lambda line: print(line, file=sys.stderr))
        days = find_days(local_environment(cloud), NAMES, most_scored=0)
        decisions = tuple(decision for day in days for decision in day.decisions)
        yield Loop(cloud=cloud, report=demo.report, page=(build / story.page).read_text(), decisions=decisions)


def delivered(loop: Loop, name: str) -> list[dict[str, Any]]:
    """The rows that were delivered for a file to score."""
    (run,) = [run for run in loop.report.of("score") if name in json.dumps(run.input)]
    uri = f"s3://{NAMES.platform.bucket('lake')}/{delivered_key(NAMES.workload, run.name)}"
    rows: list[dict[str, Any]] = pq.read_table(BytesIO(read_object(loop.cloud.client("s3"), uri))).to_pylist()
    return rows


def test_everything_succeeded_and_no_role_was_refused(loop: Loop) -> None:
    assert len({run.machine for run in loop.report.runs}) == 7, "all but queries"
    assert [(run.name, run.status) for run in loop.report.runs if run.status != "SUCCEEDED"] == []
    assert control(loop.cloud, "denials") == []


def test_images_to_score_are_delivered_once_and_those_that_are_none_quarantined(loop: Loop) -> None:
    """One breaks the contract, the other only shows when it is decoded; a manifest and a single image are read too."""
    rows = delivered(loop, "ward.parquet")
    assert [row["row_number"] for row in rows] == [line for line in range(1, TO_SCORE + 1) if line not in (7, 12)]
    assert all(0 <= row["probability"] <= 1 for row in rows)
    found = find_rows(local_environment(loop.cloud), NAMES)
    told = {row.line: (row.reason, row.column, row.expected) for row in found}
    assert told == {
        7: ("image", "image", "PNG data of 28 x 28 pixels"),
        12: ("image", "image", "a PNG of 28 x 28 pixels, 1 x 8 bits, at most 4194304 bytes"),
    }
    assert [row["id"] for row in delivered(loop, "manifest.jsonl")] == ARCHIVE["id"][:3].to_pylist()
    assert [row["id"] for row in delivered(loop, "walk-in.png")] == ["walk-in"]


def test_a_decision_names_its_image_which_is_kept_once(loop: Loop) -> None:
    assert len(loop.decisions) == WEEKS * WEEKLY
    assert max(len(to_line(decision)) for decision in loop.decisions) < 1500
    uris = {decision.key["id"]: json.loads(decision.input)["image"]["uri"] for decision in loop.decisions}
    s3, asked = loop.cloud.client("s3"), LATER.slice(0, WEEKS * WEEKLY).to_pylist()
    for image in asked[::40]:
        assert captured.read(s3, uris[image["id"]]) == image["image"]
    bucket, under = split_uri(NAMES.lake_uri(captured.FOLDER, ""))
    assert {f"s3://{bucket}/{key}" for key in keys_below(s3, bucket, under)} >= set(uris.values())


def test_another_source_is_seen_by_the_models_own_embedding_without_labels(loop: Loop) -> None:
    """Its images are as bright as the archive's. In the mean of where they lie in the last layer, they differ."""
    measured = {name for one in loop.decisions for name in one.watched}
    assert measured >= {"image.brightness", "image.contrast", "likeness", "embedding.0", "embedding.7"}
    first = loop.report.models[0].version.version
    own = [
        window for run in loop.report.monitor_runs for window in run.report.windows if run.report.model_version == first
    ]
    found = [(f.statistic, f.ratio > 1) for window in own if window.input for f in window.input.findings]
    assert (MEAN_SHIFT, True) in found
    assert {statistic for statistic, is_above in found if is_above} == {MEAN_SHIFT}


def test_the_alarms_start_a_training_that_learns_from_the_labels(loop: Loop) -> None:
    first, second = loop.report.models
    # That its images differ is seen a week before enough labels say so, or by the same run of the monitor: then their
    # executions race, and the lease lets one of them train.
    raised = {alarm.name: alarm.at for alarm in loop.report.alarms[:2]}
    assert raised.keys() == {"input-drift", "error"}
    assert raised["input-drift"] < raised["error"] + timedelta(minutes=1)
    assert (first.version.status, second.version.status) == ("previous", "live")
    assert second.version.reason == "alarm"
    assert second.version.rows - ARCHIVE.num_rows in (2 * WEEKLY, 3 * WEEKLY)
    assert second.evaluation is not None
    champion = second.evaluation.champion
    assert champion is not None
    assert champion.model_version == first.version.version


def test_people_let_the_new_version_go_live(loop: Loop) -> None:
    """A radiologist has decided images, most of them without an answer; another person has approved the version."""
    _, second = loop.report.models
    (climb,) = second.climbs
    assert (climb.version, climb.champion, climb.phase) == ("2", "1", "assisted")
    assert {one.answer for one in climb.looks[:-1]} == {"not_yet"}
    assert climb.looks[-1].answer == "go_on"
    queue = ReviewQueue(loop.cloud.client("dynamodb"), NAMES)
    decided = queue.find([one.id for one in climb.asked])
    assert len(decided) == ASSISTED.reviews_a_day
    assert {item.answer.by.rpartition("/")[2] for item in decided.values() if item.answer} == {RADIOLOGIST}
    assert Counter(item.is_blind for item in decided.values())[True] > len(decided) / 2
    assert second.version.decision == f"approved by {HEAD}: learnt the other source"
    # What they have said is a label of these images, and the week's file has those of the others.
    labels = [put["key"] for run in loop.report.of("ingest") for put in run.input["detail"]["objects"]]
    assert sum("labels/review/" in key for key in labels) == len(decided)
    assert climb.looks[-1].because[1:] in loop.page


def test_a_decision_goes_back_to_its_image_and_to_the_archive(loop: Loop) -> None:
    environment = local_environment(loop.cloud)
    newest = newest_decision(environment, NAMES)
    assert newest is not None
    links = list(trace(environment, NAMES, loop.decisions[0].id))
    assert [link.identity for link in links if link.state == "broken"] == []
    (image,) = [link for link in links if link.what == "input"]
    assert (image.state, len(image.digest or "")) == ("checked", 64)
    assert [link.identity for link in links if "archive.parquet" in link.identity]


def anew(image: bytes) -> bytes:
    """The image as PNG, written anew from its pixels."""
    return builders.picture(Image.open(BytesIO(image)), "PNG")


SHOWN = Counter(PEOPLE.values())
OWNERS = {
    PNG.findall(form)[0]: name for name, image in PEOPLE.items() if SHOWN[image] == 1 for form in (image, anew(image))
}
"""Whose image it is, if nobody else has the same."""


def known(body: bytes) -> set[str]:
    """The people of whom the bytes have the id, or the image: as it was, or written anew from its pixels."""
    images = {OWNERS[image] for image in PNG.findall(body) if image in OWNERS}
    return images | {name.decode() for name in NAME.findall(body)}


def test_nothing_has_the_images_of_a_hundred_people_who_were_erased(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", loop.cloud.endpoint_url)
    monkeypatch.setenv(SECRET_VARIABLE, loop.cloud.secret)
    before = whereabouts(loop.cloud, known)
    each = HUNDRED // len(before)
    some = [name for people in before.values() for name in sorted(people)[:each]]
    people = set([*dict.fromkeys([*some, *sorted(set().union(*before.values()))])][:HUNDRED])
    assert {store for store, them in before.items() if not them & people} == set()
    check_forgotten(loop.cloud, NAMES.workload, people, known)
