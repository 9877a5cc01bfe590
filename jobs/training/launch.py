"""Starts several processes by torchrun, one for each GPU of each machine of the job.

SageMaker starts the entry point of the container on every machine of a job. In resourceconfig.json each of them finds
the names of all: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
The entry point starts torchrun with these names, and the processes meet on the first machine.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from millrace.errors import ProcessError
from millrace.jobs.runtime import Hosts, Stopped, StopSignal

PORT = 7777
"""The port of the first machine where the processes meet. AWS's own toolkit has the same one."""
GRACE_S = 20
"""Seconds from SIGTERM to SIGKILL. A process that waits for another one that is gone does not stop by itself."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The machines of the job, and the number of processes on each."""

    hosts: Hosts
    processes: int

    @property
    def size(self) -> int:
        """The processes of all machines."""
        return len(self.hosts.names) * self.processes


def cluster_of(hosts: Hosts) -> Cluster:
    """The cluster with one process for each GPU of a machine, and one process if there is none.

    SM_NUM_GPUS, if it is set, says how many GPUs there are."""
    import torch

    said = os.environ.get("SM_NUM_GPUS", "")
    gpus = int(said) if said.isdigit() else torch.cuda.device_count()
    return Cluster(hosts=hosts, processes=max(1, gpus))


def arguments(cluster: Cluster) -> list[str]:
    """The arguments of torchrun on this machine. The number of machines is fixed, as SageMaker replaces none."""
    hosts = cluster.hosts
    return [
        f"--nnodes={len(hosts.names)}",
        f"--nproc_per_node={cluster.processes}",
        f"--node_rank={hosts.names.index(hosts.current)}",
        f"--master_addr={hosts.names[0]}",
        f"--master_port={PORT}",
        f"--shutdown_timeout={GRACE_S}",
        "--max_restarts=0",
        "-m",
        "millrace.jobs.training",
        "train",
    ]


def run(cluster: Cluster, stop: StopSignal) -> None:
    """Start this machine's processes and wait for their end. Torchrun passes SIGTERM on and waits for GRACE_S.

    Torchrun runs in this process. In a process of its own it would get a signal to the whole group twice, and at the
    second signal it leaves its children behind.

    Raises Stopped if the processes have stopped. Raises ProcessError if one failed; the first one to fail has said
    why."""
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    if interface := cluster.hosts.interface:
        # Without these variables gloo and NCCL look up the machine's name. In a container the name may lead to an
        # address that is not the cluster's.
        os.environ.update(GLOO_SOCKET_IFNAME=interface, NCCL_SOCKET_IFNAME=interface)
    # Torchrun would set this too, with a warning. Each process sets its number of threads itself.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Torchrun sets its own handler once its processes are there. Until then a signal ends this process where it is. A
    # signal that came before this line is noted in `stop`.
    signal.signal(signal.SIGTERM, _stop)
    stop.check("before the processes were started")
    try:
        torchrun.main(arguments(cluster))
    except SignalException:
        raise Stopped("all processes have stopped") from None
    except ChildFailedError as error:
        raise ProcessError(f"expected {cluster.size} processes to end well, got {error}") from None


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    """The signal handler until torchrun has its own."""
    raise Stopped("while the processes were started")
