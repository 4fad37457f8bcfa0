"""A real Slurm on this machine for tests: a controller and two nodes of one CPU, on loopback, in its own folder."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

LINKS = [Path("/etc/slurm") / name for name in ("slurm.conf", "gres.conf")]  # where srun looks inside a job
PACKAGES = {"munged": "munge", "slurmctld": "slurmctld", "slurmd": "slurmd", "sbatch": "slurm-client"}
NODES = ("node1", "node2")
# no accounting and no cgroups: neither is there in a container; gpu is a file that nobody opens
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SlurmdTimeout=10
SchedulerParameters=sched_interval=5,bf_interval=5
KillWait=5
MinJobAge=3600
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory=8000 Gres=gpu:1\n"


def missing() -> str | None:
    """Install what is missing, if that is possible; say why there can be no cluster here, or None."""
    if os.geteuid() != 0:
        return "no root: daemons of several users cannot be started"
    for link in LINKS:
        if link.exists():
            return f"{link} is there: this machine has a Slurm of its own"
    wanted = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    if wanted and shutil.which("apt-get") is None:
        return f"no apt-get to install {', '.join(wanted)}"
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *wanted]) if wanted else ():
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        run = subprocess.run(["apt-get", "-qq", *command], env=environment, capture_output=True, text=True)
        if run.returncode != 0:
            why = (run.stderr.strip().splitlines() or ["no reason given"])[-1]
            return f"apt-get {command[0]} failed: {why}"
    return None


def wait_for(what: str, happened: Callable[[], object], seconds: float) -> None:
    """Look twice a second until something has happened."""
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.5)


def _stop(pid_file: Path) -> None:
    with suppress(FileNotFoundError, ValueError, psutil.NoSuchProcess):
        daemon = psutil.Process(int(pid_file.read_text()))
        daemon.terminate()
        try:
            daemon.wait(10)
        except psutil.TimeoutExpired:
            daemon.kill()


@dataclass(frozen=True)
class Cluster:
    """A running cluster in `folder`."""

    folder: Path

    def jobs(self) -> list[dict[str, str]]:
        """Return every job, finished ones too, as `scontrol` describes it."""
        text = subprocess.run(["scontrol", "show", "job", "--oneliner"], capture_output=True, text=True, check=True)
        rows = [line.split() for line in text.stdout.splitlines() if "JobId=" in line]
        return [dict(field.split("=", 1) for field in row if "=" in field) for row in rows]

    def cancel(self, job: dict[str, str]) -> None:
        """Cancel a job."""
        subprocess.run(["scancel", job["JobId"]], check=True)

    def crash(self, job: dict[str, str]) -> None:
        """Kill the node that runs a job, its daemon and the job, as a power cut does: nobody reports anything."""
        os.kill(int((self.folder / f"{job['NodeList']}.pid").read_text()), signal.SIGKILL)
        named = {process: " ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])}
        steps = [process for process, name in named.items() if name.startswith(f"slurmstepd: [{job['JobId']}.")]
        doomed = [*steps, *(child for step in steps for child in step.children(recursive=True))]
        for process in doomed:  # first of all stop them: none shall see another one end
            process.suspend()
        for process in doomed:
            process.kill()

    def cancel_all(self) -> None:
        """End all jobs: they would outlive the daemons."""
        subprocess.run(["scancel", "--user=root"], check=True)
        ended = {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL"}
        wait_for("the end of all jobs", lambda: {job["JobState"] for job in self.jobs()} <= ended, 30)


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Start everything, and stop it by its pid files whatever happens."""
    with ExitStack() as stack:
        # the end that `timeout` and CI bring runs the clean-up too
        stack.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, lambda *_: sys.exit(143)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm.")))
        folder.chmod(0o755)
        munge = folder / "munge"
        munge.mkdir()
        (munge / "key").write_bytes(os.urandom(128))
        (munge / "key").chmod(0o400)
        for path in (munge, munge / "key"):
            shutil.chown(path, "munge")
        with ExitStack() as sockets:
            ports = []
            for _ in range(3):
                free = sockets.enter_context(socket.socket())
                free.bind(("127.0.0.1", 0))
                ports.append(free.getsockname()[1])
        host = socket.gethostname().split(".")[0]
        conf = CONF.format(host=host, port=ports[0], folder=folder)
        for name, port in zip(NODES, ports[1:], strict=True):
            conf += NODE.format(name=name, host=host, port=port)
        (folder / "slurm.conf").write_text(conf)
        (folder / "gpu").touch()
        (folder / "gres.conf").write_text(f"Name=gpu File={folder}/gpu\n")
        (folder / "state").mkdir()
        for link in LINKS:
            link.parent.mkdir(exist_ok=True)
            link.unlink(missing_ok=True)  # it leads nowhere: a killed test left it
            link.symlink_to(folder / link.name)
            stack.callback(link.unlink)

        def start(pid_file: Path, *command: str, user: str | None = None) -> None:
            stack.callback(_stop, pid_file)
            subprocess.run(command, user=user, check=True, capture_output=True)
            wait_for(str(pid_file), pid_file.exists, 10)

        files = {name: f"--{name}-file={munge}/{name}" for name in ("key", "pid", "log", "seed")}
        start(munge / "pid", "munged", "--force", f"--socket={munge}/socket", *files.values(), user="munge")
        start(folder / "slurmctld.pid", "slurmctld")
        for node in NODES:
            start(folder / f"{node}.pid", "slurmd", "-N", node)
        idle = ["sinfo", "--noheader", "--states=idle", "--format=%D"]
        wait_for(
            "two idle nodes",
            lambda: subprocess.run(idle, capture_output=True, text=True).stdout.strip() == "2",
            30,
        )
        cluster = Cluster(folder)
        stack.callback(cluster.cancel_all)
        yield cluster
