"""A batch transform job as SageMaker runs it: each object of the prefix is POSTed to the model, answers are put back.

Contract: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-batch-code.html. Not covered and refused by
name: several instances, RecordIO and TFRecord, compressed input, data capture, filters and joins (DataProcessing).
The container listens on loopback, so it is not cut off from the network.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from infra.local.kernel.cloud import Cloud
from infra.local.sagemaker.api import Fields, invalid
from infra.local.sagemaker.channels import download, put, s3_of
from infra.local.sagemaker.containers import images
from infra.local.sagemaker.endpoints.serving import Server, UnansweredError
from infra.local.sagemaker.jobs.job import Job, JobError
from infra.local.sagemaker.models import artefact, served

_MB = 1024 * 1024
_START_LIMIT_S = 240.0


def prepare(cloud: Cloud, request: Fields) -> tuple[str, float]:
    """Role ARN (the model's: a transform job has none of its own) and no time limit."""
    if int(request["TransformResources"]["InstanceCount"]) != 1:
        raise invalid("the local cloud does not cover batch transform on more than one instance")
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
    """Run the job to its end; the first request that fails fails the job, as in SageMaker."""
    one = served(job.cloud, job.fields["ModelName"])
    image = images(job.cloud).find(one.image)
    s3 = s3_of(job.cloud, job.role_arn)
    names = download(s3, job.fields["TransformInput"]["DataSource"]["S3DataSource"], job.root / "batch" / "input")
    server = Server(
        cloud=job.cloud,
        image=image,
        model=artefact(job.cloud, one),
        root=job.root,
        environment={**one.environment, **job.fields.get("Environment", {}), **_batch_variables(job.fields)},
        log=job.log,
    )
    server.start()
    try:
        if not server.ready(_START_LIMIT_S, job.stop):
            raise JobError("AlgorithmError: the container did not pass the ping health check")
        settings = _settings(job.fields, server)
        for name in names:
            output = job.root / "batch" / "output" / f"{name}.out"
            output.parent.mkdir(parents=True, exist_ok=True)
            _transform(job, server, settings, job.root / "batch" / "input" / name, output)
            if job.stop.is_set():
                return
            target = job.fields["TransformOutput"]
            put(s3, output, f"{target['S3OutputPath'].rstrip('/')}/{name}.out", kms_key=target.get("KmsKeyId"))
    finally:
        server.end()


def _batch_variables(fields: Fields) -> dict[str, str]:
    """The variables by which the container knows that it runs in batch; the last three only if the caller set them."""
    names = {
        "MaxPayloadInMB": "SAGEMAKER_MAX_PAYLOAD_IN_MB",
        "BatchStrategy": "SAGEMAKER_BATCH_STRATEGY",
        "MaxConcurrentTransforms": "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS",
    }
    return {"SAGEMAKER_BATCH": "true", **{name: str(fields[key]) for key, name in names.items() if key in fields}}


def _settings(fields: Fields, server: Server) -> Fields:
    """Strategy, payload and concurrency: the request's, else the container's, else the defaults."""
    reply = server.get("/execution-parameters")
    parameters = json.loads(reply.body) if reply is not None and reply.status == 200 else {}
    strategy = {"MULTI_RECORD": "MultiRecord", "SINGLE_RECORD": "SingleRecord"}.get(parameters.pop("BatchStrategy", ""))
    defaults = {"MaxPayloadInMB": 6, "MaxConcurrentTransforms": 1, "BatchStrategy": strategy or "MultiRecord"}
    given = {key: fields[key] for key in defaults if key in fields}
    return {**defaults, **{key: parameters[key] for key in defaults if key in parameters}, **given}


def _transform(job: Job, server: Server, settings: Fields, source: Path, output: Path) -> None:
    split = job.fields["TransformInput"].get("SplitType", "None")
    # MaxPayloadInMB 0 means no limit (AWS sends such bodies in chunks).
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
    """The answers in the payloads' order, with never more than `workers` payloads in memory at a time."""
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
    """Lines, alone or as many as fit into the limit; SageMaker cuts at newlines only, so a header is a record."""
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
