"""Runs a batch transform job as SageMaker does: posts each object of the prefix to the model, puts the answers back.

Contract: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-batch-code.html
Refused by name, as not covered: RecordIO and TFRecord, compressed input, filters and joins (DataProcessing). Data
capture is accepted and captures nothing. Each instance is a container, which is not cut off from the network, since it
listens on the host's loopback interface. Whole objects are dealt to the instances in turn, where AWS deals them by key:
an instance too many has none. If one fails, the job fails.
https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform.html
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from localcloud.kernel.cloud import Cloud
from localcloud.sagemaker.api import Fields, invalid
from localcloud.sagemaker.channels import download, put, s3_of
from localcloud.sagemaker.containers import images
from localcloud.sagemaker.endpoints.serving import Server, UnansweredError
from localcloud.sagemaker.jobs.job import MOST, Job, JobError
from localcloud.sagemaker.models import artefact, served

_MB = 1024 * 1024
_START_LIMIT_S = 240.0
"""Seconds for the start of the container."""


def prepare(cloud: Cloud, request: Fields) -> tuple[str, float]:
    """Role ARN and an infinite time limit. The role is the model's: a transform job has none of its own.

    Raises RefusedError for what AWS would refuse or what is not covered."""
    if int(request["TransformResources"]["InstanceCount"]) > MOST:
        raise invalid(f"the local cloud covers batch transform on {MOST} instances at most")
    source = request["TransformInput"]
    if source.get("SplitType", "None") not in {"None", "Line"}:
        raise invalid(f"the local cloud does not cover SplitType {source['SplitType']}")
    if source.get("CompressionType", "None") != "None":
        raise invalid(f"the local cloud does not cover CompressionType {source['CompressionType']}")
    processing = request.get("DataProcessing", {})
    if processing.get("JoinSource", "None") != "None" or {"InputFilter", "OutputFilter"} & set(processing):
        raise invalid("the local cloud does not cover DataProcessing")
    if request.get("MaxConcurrentTransforms", 1) * request.get("MaxPayloadInMB", 6) > 100:
        raise invalid("MaxConcurrentTransforms * MaxPayloadInMB must not exceed 100 MB")
    return served(cloud, request["ModelName"]).role_arn, math.inf


def run(job: Job) -> None:
    """Run the job to its end. If a request fails the job fails, as in SageMaker.

    Raises JobError if the container does not come up or a request fails, MoveError if files cannot be moved."""
    # Inputs down, containers up, then object by object: post its records, put the answers under its name and `.out`.
    s3 = s3_of(job.cloud, job.role_arn)
    names = download(s3, job.fields["TransformInput"]["DataSource"]["S3DataSource"], job.root / "batch" / "input")
    roots, failed = job.roots(int(job.fields["TransformResources"]["InstanceCount"])), threading.Event()
    with ThreadPoolExecutor(len(roots)) as pool:
        parts = (names[number :: len(roots)] for number in range(len(roots)))
        started = [pool.submit(_answer, job, s3, root, part, failed) for root, part in zip(roots, parts, strict=True)]
    for instance in started:
        instance.result()


def _answer(job: Job, s3: Any, root: Path, names: Sequence[str], failed: threading.Event) -> None:
    """Run one instance over its objects, until another one has `failed`."""
    one = served(job.cloud, job.fields["ModelName"])
    server = Server(
        cloud=job.cloud,
        image=images(job.cloud).find(one.image),
        model=artefact(job.cloud, one),
        root=root,
        environment={**one.environment, **job.fields.get("Environment", {}), **_batch_variables(job.fields)},
        log=job.log,
    )
    try:
        server.start()
        if not server.ready(_START_LIMIT_S, job.stop):
            raise JobError("AlgorithmError: the container did not pass the ping health check")
        settings = _settings(job.fields, server)
        for name in names:
            output = job.root / "batch" / "output" / f"{name}.out"
            output.parent.mkdir(parents=True, exist_ok=True)
            _transform(job, server, settings, job.root / "batch" / "input" / name, output)
            if job.stop.is_set() or failed.is_set():
                return
            target = job.fields["TransformOutput"]
            put(s3, output, f"{target['S3OutputPath'].rstrip('/')}/{name}.out", kms_key=target.get("KmsKeyId"))
    except Exception:
        failed.set()
        raise
    finally:
        server.end()


def _batch_variables(fields: Fields) -> dict[str, str]:
    """The variables by which the container knows that it runs in batch.

    SAGEMAKER_BATCH is always there, the other three only if the request sets them."""
    names = {
        "MaxPayloadInMB": "SAGEMAKER_MAX_PAYLOAD_IN_MB",
        "BatchStrategy": "SAGEMAKER_BATCH_STRATEGY",
        "MaxConcurrentTransforms": "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS",
    }
    return {"SAGEMAKER_BATCH": "true", **{name: str(fields[key]) for key, name in names.items() if key in fields}}


def _settings(fields: Fields, server: Server) -> Fields:
    """Strategy, payload and concurrency: those of the request, else those of the container, else the defaults."""
    # The container may answer with its wishes, such as {"MaxConcurrentTransforms": 4, "BatchStrategy": "MULTI_RECORD"}.
    reply = server.get("/execution-parameters")
    parameters = json.loads(reply.body) if reply is not None and reply.status == 200 else {}
    strategy = {"MULTI_RECORD": "MultiRecord", "SINGLE_RECORD": "SingleRecord"}.get(parameters.pop("BatchStrategy", ""))
    defaults = {"MaxPayloadInMB": 6, "MaxConcurrentTransforms": 1, "BatchStrategy": strategy or "MultiRecord"}
    given = {key: fields[key] for key in defaults if key in fields}
    return {**defaults, **{key: parameters[key] for key in defaults if key in parameters}, **given}


def _transform(job: Job, server: Server, settings: Fields, source: Path, output: Path) -> None:
    split = job.fields["TransformInput"].get("SplitType", "None")
    # MaxPayloadInMB 0 means that there is no limit (AWS sends such bodies in chunks).
    limit = int(settings["MaxPayloadInMB"]) * _MB or None
    together = settings["BatchStrategy"] == "MultiRecord"
    payloads = _batches(source, limit, together) if split == "Line" else _whole(source, limit)
    separator = b"\n" if job.fields["TransformOutput"].get("AssembleWith", "None") == "Line" else b""
    workers = max(1, int(settings["MaxConcurrentTransforms"]))
    with ThreadPoolExecutor(workers) as pool, output.open("wb") as file:
        for answer in _in_order(pool, lambda payload: _invoke(job, server, payload), payloads, workers):
            file.write(answer)
            if separator and not answer.endswith(separator):
                file.write(separator)


def _in_order(
    pool: ThreadPoolExecutor, invoke: Callable[[bytes], bytes], payloads: Iterator[bytes], workers: int
) -> Iterator[bytes]:
    """Yields the answers in the order of the payloads. Never more than `workers` payloads are in memory at a time."""
    # The next payload is read only when the oldest answer has been taken.
    waiting = []
    for payload in payloads:
        waiting.append(pool.submit(invoke, payload))
        if len(waiting) >= workers:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()


def _whole(source: Path, limit: int | None) -> Iterator[bytes]:
    if limit is not None and source.stat().st_size > limit:
        raise JobError(f"ClientError: {source.name} is larger than MaxPayloadInMB")
    yield source.read_bytes()


def _batches(source: Path, limit: int | None, together: bool) -> Iterator[bytes]:
    """Yields the lines of the file as payloads: one by one, or `together` as many as fit into `limit` bytes.

    SageMaker cuts at newlines only, so a header is a record too. Raises JobError for a line beyond the limit."""
    batch: list[bytes] = []
    size = 0
    with source.open("rb") as file:
        for line in file:
            if limit is not None and len(line) > limit:
                raise JobError(f"ClientError: a record of {source.name} is larger than MaxPayloadInMB")
            if batch and (not together or (limit is not None and size + len(line) > limit)):
                yield b"".join(batch)
                batch, size = [], 0
            batch.append(line)
            size += len(line)
    if batch:
        yield b"".join(batch)


def _invoke(job: Job, server: Server, payload: bytes) -> bytes:
    client = job.fields.get("ModelClientConfig", {})
    source, target = job.fields["TransformInput"], job.fields["TransformOutput"]
    headers = {"Content-Type": source.get("ContentType", "application/octet-stream")}
    if "Accept" in target:
        headers["Accept"] = target["Accept"]
    message = ""
    for _ in range(1 + int(client.get("InvocationsMaxRetries", 3))):
        if job.stop.is_set():
            return b""
        try:
            reply = server.post(payload, headers, float(client.get("InvocationsTimeoutInSeconds", 600)))
        except UnansweredError as error:
            message = str(error)
            continue
        if reply.status == 200:
            return reply.body
        # A 5xx may pass, so it is tried again; what the container refuses (4xx) it would refuse again.
        message = f"{reply.status}: {reply.body[:500].decode(errors='replace')}"
        if reply.status < 500:
            break
    with job.log.open("a") as log:
        log.write(f"{message}\n")
    raise JobError(f"AlgorithmError: See job logs for more information ({message})")
