"""The tracking function: two events, one MLflow run, in a file."""

import fcntl
import json
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from millrace.functions.tracking.records import Entry, Store


@pytest.fixture
def track(monkeypatch, tmp_path, load):
    monkeypatch.setenv("MILLRACE_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    return load("tracking")


def run(tmp_path, run_id):
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    return client.get_run(run_id), client.get_metric_history(run_id, "train_loss")


def test_both_events_write_to_one_run(aws, trained_run, track, event, tmp_path):
    """In the experiment of the workload and its stage: several stages may share one MLflow."""
    from mlflow.tracking import MlflowClient

    trained_run()
    first = track(event("tracking_trained"))
    assert track(event("tracking_trained")) == first
    assert track(event("tracking_registered")) == first
    found, curve = run(tmp_path, first["mlflow_run"])
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    experiment = MlflowClient(tracking_uri=uri, registry_uri=uri).get_experiment(found.info.experiment_id)
    assert experiment.name == "millrace-local-electricity"
    assert found.info.run_name == "7c1b2f0e-first"
    assert found.info.status == "FINISHED"
    assert found.data.params["family"] == "feedforward"
    assert found.data.params["hidden"] == "[64, 64]"
    assert [point.step for point in curve] == [1, 2, 3]
    assert found.data.metrics["training_seconds"] == 7.5
    assert found.data.metrics["test_accuracy"] == 0.75
    assert found.data.tags["data_digest"] == "d" * 64
    assert found.data.tags["registered"] == "true"
    assert found.data.tags["gate_0"].startswith("passed: size")


class Late(Store):
    """Looks before another event has made a run, and again after it."""

    looks = iter([None])

    def find(self, run):
        return next(self.looks, super().find(run))


def test_of_two_events_at_once_one_makes_the_run(aws, trained_run, track, event, tmp_path):
    """The other takes the run away that it has made, and writes to the first one's."""
    from mlflow.tracking import MlflowClient

    name, uri, experiment = trained_run(), f"sqlite:///{tmp_path}/mlflow.db", aws.names.prefix
    first = track(event("tracking_trained"))["mlflow_run"]
    late = Late(uri, experiment=experiment)
    assert late.write(Entry(run=name, tags={"registered": "true"}), at=datetime.now(UTC)) == first
    found, _ = run(tmp_path, first)
    assert found.data.tags["registered"] == "true"
    runs = MlflowClient(tracking_uri=uri, registry_uri=uri).search_runs([found.info.experiment_id])
    assert [each.info.run_id for each in runs] == [first]


def test_a_refused_model_is_recorded_without_a_package(aws, trained_run, track, event, tmp_path):
    trained_run()
    refused = event("tracking_registered")
    for package in ("package_arn", "version"):
        del refused["detail"][package]
    refused["detail"]["gates"] = ["refused: size: too big"]
    found, _ = run(tmp_path, track(refused)["mlflow_run"])
    assert (found.data.tags["registered"], found.data.tags["package_arn"]) == ("false", "")


def test_an_event_of_another_kind_is_refused(track, event):
    stranger = event("tracking_registered")
    stranger["detail"] = {"hello": "world"}
    with pytest.raises(ValueError, match="detail"):
        track(stranger)


def test_a_report_that_is_missing_stops_only_the_recording(aws, track, event):
    with pytest.raises(ClientError, match="NoSuchKey"):
        track(json.loads(json.dumps(event("tracking_registered"))))


def test_a_store_in_a_file_is_opened_by_one_process_at_a_time(aws, tmp_path):
    """Two that make its tables at once leave them half made."""
    Store(f"sqlite:///{tmp_path}/other.db", experiment="electricity")  # from now on mlflow is loaded
    file = tmp_path / "mlflow.db"
    with ThreadPoolExecutor(1) as thread:
        with Path(f"{file}.lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            opened = thread.submit(Store, f"sqlite:///{file}", experiment="electricity")
            assert wait([opened], timeout=2).not_done
            assert not file.exists()
        assert opened.result(timeout=60)
    assert file.exists()
