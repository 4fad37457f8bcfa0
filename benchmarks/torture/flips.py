"""Flip one bit of a file of each kind that is read: it must be refused, or give the same numbers as before."""

import contextlib
import dataclasses
import hashlib
import json
import logging
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import safetensors.numpy
import torch
import yaml
from benchmarks.torture.counts import Attack, Outcome
from benchmarks.torture.workflow_kills import CONFIG, write_data

from helpers import minari_files
from helpers.good_files import FIGURE_DATA, GATHERED, write_good
from helpers.weights import make_weights, state_dicts, unit_dataset
from obdistill.core import artifacts
from obdistill.core.checkpoints import Checkpoint
from obdistill.core.errors import UserError
from obdistill.datasets import collected, d4rl, minari
from obdistill.datasets.settings import CollectedSettings, D4rlSettings, MinariSettings
from obdistill.experiment.jobs import Experiment
from obdistill.near_experts.corl import import_near_expert
from obdistill.near_experts.settings import ImportSettings

Reader = Callable[[], Any]
DATA, CHECKPOINT, STATISTICS, CONFIGURATION = "plain.hdf5", "checkpoint.pt", "statistics.json", "config.yaml"
COLLECTION = "own/collection.json"  # apart: what it lists is known by it
MINARI = f"{minari_files.ID}/data/main_data.hdf5"
METADATA = f"{minari_files.ID}/data/metadata.json"
PATIENCE = 600  # seconds for reading a small file, on however busy a machine
_forks = multiprocessing.get_context("fork")


class Run:
    """What a checkpoint holds, in small."""

    def __init__(self, value: float) -> None:
        self.step = int(value)
        self.tensor = torch.full((50,), value)

    def parts(self) -> dict[str, torch.Tensor]:
        """Return its state."""
        return {"tensor": self.tensor}


def own(name: str, kind: str) -> Reader:
    """Read one of the project's artifacts."""
    read = artifacts.read_table if name.endswith(".csv") else artifacts.read_arrays
    return lambda: read(Path(name), kind)


def read_checkpoint() -> Any:
    """Go on from a checkpoint; a damaged one is told, and the run starts anew."""
    run = Run(0.0)
    Checkpoint(Path("run.npz"), {"seed": 0}).restore(run)
    return run.tensor, run.step


def read_d4rl(sha256: str | None = None) -> Any:
    """Read a plain HDF5 file in D4RL's layout."""
    return _content(d4rl.load(D4rlSettings(source="d4rl", file=DATA, sha256=sha256)))


def read_minari(sha256: str | None = None) -> Any:
    """Read a Minari dataset."""
    settings = MinariSettings(source="minari", id=minari_files.ID, root=Path(), download=False, sha256=sha256)
    return _content(minari.load(settings))


def read_collected() -> Any:
    """Read a level of an own collection."""
    return _content(collected.load(CollectedSettings(source="collect", collection="own", level="medium"), Path("own")))


def _content(loaded: Any) -> Any:
    """Leave out the hashes of what was read."""
    return loaded.transitions, loaded.env_id, loaded.reference_returns, loaded.action_bounds, loaded.warnings


def read_weights(checkpoint: str, statistics: str | None = None) -> Any:
    """Import a checkpoint of CORL."""
    settings = ImportSettings(
        algorithm="import", checkpoint=checkpoint, statistics={"file": statistics} if statistics else None
    )
    near_expert, _ = import_near_expert(unit_dataset(), settings)
    networks = [near_expert.actor.state_dict(), near_expert.critics.state_dict()]
    return networks, near_expert.normalizer


def read_configuration() -> Any:
    """Read and check a configuration."""
    return Experiment.load([CONFIGURATION]).config.model_dump()


OWN = {
    "dataset.npz": "dataset",
    "near_expert.safetensors": "near_expert",
    "synset.npz": "synset",
    "standard.csv": artifacts.RETURNS,
    GATHERED: "gathered returns",
    FIGURE_DATA: "figure data",
}
BEFORE, NEVER, PINNED = ", read before", ", never read before", ", sha256 in the settings"
# kind of file: the file, and how it is read
KINDS: dict[str, tuple[str, Reader]] = {
    **{f"own {name}": (name, own(name, kind)) for name, kind in OWN.items()},
    **{f"own {Path(name).stem}.json": (f"{Path(name).stem}.json", own(name, kind)) for name, kind in OWN.items()},
    "checkpoint of a run": ("run.checkpoint.safetensors", read_checkpoint),
    "own collection, HDF5": (f"own/{MINARI}", read_collected),
    "own collection.json": (COLLECTION, read_collected),
    f"D4RL HDF5{PINNED}": (DATA, lambda: read_d4rl(artifacts.sha256(Path("whole")))),
    f"D4RL HDF5{BEFORE}": (DATA, read_d4rl),
    f"Minari HDF5{PINNED}": (MINARI, lambda: read_minari(artifacts.sha256(Path("whole")))),
    f"Minari HDF5{BEFORE}": (MINARI, read_minari),
    f"Minari metadata.json{BEFORE}": (METADATA, read_minari),
    "CORL .pt": (CHECKPOINT, lambda: read_weights(CHECKPOINT)),
    "CORL .npz": ("checkpoint.npz", lambda: read_weights("checkpoint.npz")),
    f"CORL .safetensors{BEFORE}": ("checkpoint.safetensors", lambda: read_weights("checkpoint.safetensors")),
    f"statistics .json{BEFORE}": (STATISTICS, lambda: read_weights("checkpoint.npz", STATISTICS)),
}
UNPROTECTED: dict[str, tuple[str, Reader]] = {
    f"D4RL HDF5{NEVER}": (DATA, read_d4rl),
    f"Minari HDF5{NEVER}": (MINARI, read_minari),
    f"Minari metadata.json{NEVER}": (METADATA, read_minari),
    f"CORL .safetensors{NEVER}": ("checkpoint.safetensors", lambda: read_weights("checkpoint.safetensors")),
    f"statistics .json{NEVER}": (STATISTICS, lambda: read_weights("checkpoint.npz", STATISTICS)),
    "configuration YAML": (CONFIGURATION, read_configuration),
}


def prepare(folder: Path) -> None:
    """Write a sound file of each kind."""
    write_good(folder)
    write_data(folder / DATA)
    torch.save(state_dicts(), folder / CHECKPOINT)
    weights = {name: np.ascontiguousarray(array) for name, array in make_weights().items()}
    safetensors.numpy.save_file(weights, folder / "checkpoint.safetensors")
    (folder / STATISTICS).write_text('{"state_mean": [0.25, -1.5, 2.125], "state_std": [1.25, 0.75, 3.5]}')
    (folder / CONFIGURATION).write_text(yaml.safe_dump(CONFIG))
    shutil.copytree(folder / minari_files.ID, folder / "own" / minari_files.ID)
    found = {"sha256": artifacts.sha256(folder / MINARI), "metadata_sha256": artifacts.sha256(folder / METADATA)}
    level = {"dataset_id": minari_files.ID, "transitions": 15, **found}
    (folder / COLLECTION).write_text(json.dumps({"levels": {"medium": level}}))
    Checkpoint(folder / "run.npz", {"seed": 0}).save(Run(7.0))


def flip(kind: str, tries: int, random: Random, root: Path) -> Iterator[Outcome]:
    """Flip one bit of a file `tries` times, each time from the whole file, and leave its date as it is."""
    folder = root / "files"
    if not folder.exists():
        torch.set_num_threads(1)  # the reading processes are forks
        folder.mkdir()
        prepare(folder)
    os.chdir(folder)
    name, read = (KINDS | UNPROTECTED)[kind]
    path = folder / name
    whole, status = path.read_bytes(), path.stat()
    Path("whole").write_bytes(whole)
    memory = root / f"cache {kind}".replace("/", "_")
    before, said = _read_apart(read, memory)
    assert isinstance(before, bytes), before
    for _ in range(tries):
        at, bit = random.randrange(len(whole)), random.randrange(8)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :])
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        after, more = _read_apart(read, Path(tempfile.mkdtemp(dir=root)) if NEVER in kind else memory)
        where = f"bit {bit} of byte {at} of {len(whole)}"
        if after is None:
            yield Outcome("lost", f"{where}: the reading process hangs or crashes")
        elif isinstance(after, str) or more > said:
            yield Outcome("told")
        else:
            yield Outcome("same") if after == before else Outcome("wrong", where)
    path.write_bytes(whole)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _read_apart(read: Reader, memory: Path) -> tuple[bytes | str | None, int]:
    """Read in a process of its own: a digest of what it gives, its error, or None; and the number of warnings."""
    ours, theirs = _forks.Pipe()
    process = _forks.Process(target=_answer, args=(read, memory, theirs))
    process.start()
    theirs.close()
    answer: tuple[bytes | str | None, int] = (None, 0)
    with contextlib.suppress(EOFError):  # it crashed
        if ours.poll(PATIENCE):
            answer = ours.recv()
    process.kill()
    process.join()
    return answer


def _answer(read: Reader, memory: Path, to: Connection) -> None:
    os.environ["OBD_CACHE"] = str(memory)
    warnings: list[logging.LogRecord] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = warnings.append  # type: ignore[method-assign]
    logging.getLogger("obdistill").addHandler(handler)
    try:
        digest = hashlib.sha256()
        for part in _parts(read()):
            digest.update(part)
        to.send((digest.digest(), len(warnings)))
    except UserError as error:
        to.send((str(error), len(warnings)))


def _parts(value: Any) -> Iterator[bytes]:
    """Give all that a value consists of as bytes."""
    if isinstance(value, Mapping):
        value = list(value.items())
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    if isinstance(value, pd.DataFrame):
        value = [(name, value[name].to_numpy()) for name in value]
    if dataclasses.is_dataclass(value):
        value = [getattr(value, field.name) for field in dataclasses.fields(value)]
    if isinstance(value, list | tuple):
        yield b"("
        for part in value:
            yield from _parts(part)
        yield b")"
    elif isinstance(value, np.ndarray) and value.dtype != object:
        yield f"{value.dtype} {value.shape}".encode() + value.tobytes()
    else:
        yield repr(value.tolist() if isinstance(value, np.ndarray) else value).encode()


ATTACK = Attack(
    "flips",
    [*KINDS, *UNPROTECTED],
    tries=25 * len(KINDS | UNPROTECTED),
    short=2 * len(KINDS | UNPROTECTED),
    run=flip,
    unprotected=list(UNPROTECTED),
)
