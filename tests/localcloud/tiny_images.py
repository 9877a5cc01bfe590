"""A repository of tiny containers: a trainer, a processor and a server that needs nothing but Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from localcloud.sagemaker.containers import images
from tests.localcloud.resources import allow, make_role

DOCKERFILE = """\
FROM public.ecr.aws/example/base:1
# a comment
RUN echo nothing
COPY program/ /opt/program/
WORKDIR /opt/program
ENV GREETING="hello there"
ENTRYPOINT ["python", "{name}.py"]
"""

TRAIN = """\
import json, os, pathlib, socket, sys, time
root = pathlib.Path(os.environ["MILLRACE_ML_ROOT"])
settings = json.loads((root / "input/config/hyperparameters.json").read_text())
channels = sorted(p.name for p in (root / "input/data").iterdir()) if (root / "input/data").exists() else []
files = {c: sorted(p.relative_to(root / "input/data" / c).as_posix()
    for p in (root / "input/data" / c).rglob("*") if p.is_file()) for c in channels}
try:
    socket.create_connection(("127.0.0.1", int(settings.get("port", "9"))), timeout=1)
    network = "reached"
except OSError as error:
    network = type(error).__name__
try:
    import localcloud
    repository = "importable"
except ImportError:
    repository = "hidden"
print("validation: loss=0.75;", flush=True)
print(f"validation: loss={settings.get(settings.get('say', ''), 0.25)};", flush=True)
place = json.loads((root / "input/config/resourceconfig.json").read_text())
if settings.get("meet"):
    mine, (first, *others) = place["current_host"], place["hosts"]
    if mine == first:
        with socket.create_server((first, 7777)) as server:
            met = [server.accept()[0].recv(100).decode() for _ in others]
    else:
        if settings["meet"] == "fail":
            (root / "output/failure").write_text(f"{mine} is broken")
            sys.exit(5)
        while True:
            try:
                socket.create_connection((first, 7777), timeout=5).sendall(mine.encode())
                break
            except ConnectionRefusedError:
                time.sleep(0.02)
        sys.exit()
saved = root / "checkpoints/step"
step = int(saved.read_text()) if saved.exists() else 0
saved.write_text(str(step + 1))
(root / "model/told.json").write_text(json.dumps({
    "arguments": sys.argv[1:], "settings": settings, "files": files, "network": network, "repository": repository,
    "hosts": place["hosts"], "met": sorted(met) if settings.get("meet") else [],
    "keys": sorted(k for k in os.environ if k.startswith("AWS_")), "step": step,
    "environment": {k: os.environ.get(k) for k in ("GREETING", "MINE", "TRAINING_JOB_NAME")}}))
if settings.get("eat_mb"):
    eaten = bytearray(b"x") * (int(settings["eat_mb"]) * 2**20); time.sleep(30)
if settings.get("sleep"):
    time.sleep(float(settings["sleep"]))
if settings.get("fail"):
    (root / "output/failure").write_text(settings["fail"])
    sys.exit(3)
if settings.get("data"):
    (root / "output/data/report.txt").write_text("done")
"""

PROCESS = """\
import os, pathlib, sys, time
root = pathlib.Path(os.environ["MILLRACE_ML_ROOT"])
if os.environ.get("SLEEP"):
    time.sleep(float(os.environ["SLEEP"]))
rows = sum(len(p.read_text().splitlines()) for p in sorted((root / "processing/input").rglob("*")) if p.is_file())
(root / "processing/output/count.txt").write_text(f"{rows} {sys.argv[1:]}")
sys.exit(int(os.environ.get("CODE", "0")))
"""

SERVE = """\
import json, os, pathlib, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
root = pathlib.Path(os.environ["MILLRACE_ML_ROOT"])
model = root / "model/version.txt"
version = model.read_text() if model.exists() else "none"
if os.environ.get("CRASH"):
    sys.exit(1)
time.sleep(float(os.environ.get("BOOT", "0")))
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def log_message(self, *_):
        pass
    def answer(self, status, body, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer(200 if self.path == "/ping" else 404, b"")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if body == b"die":
            os._exit(9)
        time.sleep(0.4 if body == b"slow" else float(os.environ.get("SECONDS", "0")))
        if body.startswith(b"bad"):
            self.answer(422, b"not understood")
        elif body.startswith(b"broken") or os.environ.get("BROKEN"):
            self.answer(500, b"oops")
        elif body == b"where":
            self.answer(200, root.name.encode())
        elif os.environ.get("SAGEMAKER_BATCH"):
            lines = body.splitlines()
            self.answer(200, b"\\n".join(b"%d:%s" % (len(lines), line) for line in lines))
        else:
            told = {"version": version, "pid": os.getpid(), "size": len(body), "arguments": sys.argv[1:],
                "inference": self.headers.get("X-Amzn-SageMaker-Inference-Id"),
                "type": self.headers.get("Content-Type")}
            custom = self.headers.get("X-Amzn-SageMaker-Custom-Attributes", "")
            self.answer(200, json.dumps(told).encode(), Content_Type="application/json",
                X_Amzn_SageMaker_Custom_Attributes=custom)
ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


def write(repository: Path) -> Path:
    """The repository, with the images `train`, `process` and `serve` in it."""
    for name, program in {"train": TRAIN, "process": PROCESS, "serve": SERVE}.items():
        folder = repository / "containers" / name
        folder.mkdir(parents=True)
        (folder / "Dockerfile").write_text(DOCKERFILE.format(name=name))
        (repository / "program").mkdir(exist_ok=True)
        (repository / "program" / f"{name}.py").write_text(program)
    return repository


def uri(name: str) -> str:
    return f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/millrace-local-{name}@sha256:{'0' * 64}"


IN_ITS_NAME = allow(["ecr:*", "ec2:*", "logs:*", "cloudwatch:PutMetricData", "kms:CreateGrant"])
"""What SageMaker does in the name of a role that runs a container."""


def role(iam: Any, name: str, *actions: str) -> str:
    """The ARN of a new role that SageMaker may have; besides what is done in its name it may make these calls."""
    return make_role(iam, name, "sagemaker", *[allow(list(actions))] * bool(actions), IN_ITS_NAME)


def serve(sagemaker: Any, iam: Any, name: str, instance: str) -> dict[str, Any]:
    """The one variant of a new configuration with a new model, both of this name."""
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=role(iam, name), PrimaryContainer={"Image": uri("serve")})
    variant = {"VariantName": "main", "ModelName": name, "InstanceType": instance, "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    return variant


def training(bucket: str, role: str) -> dict[str, Any]:
    """What every training of the tiny trainer says of itself."""
    return {
        "AlgorithmSpecification": {
            "TrainingImage": uri("train"),
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "loss", "Regex": r"loss=(\S+);"}],
        },
        "RoleArn": role,
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/models"},
        "ResourceConfig": {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }


def bucket(cloud: Any, name: str, repository: Path) -> str:
    """A new bucket, with the tiny images as the cloud's images."""
    images(cloud).repository = write(repository)
    cloud.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return name
