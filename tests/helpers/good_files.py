"""One good file of each kind, the commands that read them, and how a command refuses."""

import shlex
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from helpers import minari_files
from helpers.fake_returns import write_returns
from helpers.small import write_small_inputs
from helpers.weights import make_weights
from obdistill.cli import main
from obdistill.paper.figure_data.make import make_figure_data
from obdistill.paper.gather import gather
from obdistill.paper.settings import FigureSettings
from obdistill.synsets.stage import DistillSettings, make_synset

MINARI_ID = minari_files.ID

METADATA = f"{MINARI_ID}/data/metadata.json"
RETURNS = "standard.csv"
GATHERED, FIGURE_DATA = "gathered.npz", "figure_1.csv"
# commands that work in the folder that `good` makes
DATASET = (
    'dataset --task pendulum --out new/dataset.npz --set env_id=Pendulum-v1 --set "reference_returns=[-1200, -150]"'
)
EXPERT = "evaluate-near-expert"
COMMANDS = {
    "collect": "collect --out new --set env_id=Pendulum-v1 "
    "--set medium_steps=2 --set expert_steps=3 --set transitions=2",
    "d4rl": f"{DATASET} --set source=d4rl --set file=data.hdf5",
    "minari": f"{DATASET} --set source=minari --set id={MINARI_ID} --set root=. --set download=false",
    "near-expert": "near-expert --dataset dataset.npz --out new/near_expert.safetensors --set algorithm=td3_bc "
    "--set steps=5 --set batch_size=4",
    "import": "near-expert --dataset dataset.npz --out new/near_expert.safetensors --set algorithm=import "
    "--set checkpoint=checkpoint.npz",
    EXPERT: "evaluate-near-expert --near-expert near_expert.safetensors --out new/returns.csv",
    "select": "select --dataset dataset.npz --method k_center --near-expert near_expert.safetensors --size 8 "
    "--out new/synset.npz",
    "distill": "distill --dataset dataset.npz --near-expert near_expert.safetensors --objective av_pbc --size 8 "
    "--set steps=2 --set snapshot_every=1 --set inner.steps=2 "
    "--out new/synset.npz",
    "evaluate": "evaluate --set policies=1 --set episodes=1 --pairs synset.npz --out new/standard.csv",
    "gather": f"gather --out new/returns.npz {RETURNS}",
    "table": f"table --out new/table_1.csv {GATHERED}",
    "figure-data": f"figure-data --out new/figure_1.csv {GATHERED}",
    "figure": f"figure --out new/figure_1.png {FIGURE_DATA}",
}


def write_small_synset(folder: Path) -> None:
    """Write a synset and what it is made from."""
    dataset, _ = write_small_inputs(folder)
    quick = DistillSettings(steps=1, snapshot_every=1, inner={"steps": 1}, outer={"batch_size": 4})
    make_synset(dataset, None, "dbc", 8, 0, quick, folder / "synset.npz")


def write_good(folder: Path) -> Path:
    """Write one good file of each kind, and return the folder."""
    write_small_synset(folder)
    gather([write_returns(folder / RETURNS, 50.0)], folder / GATHERED)
    make_figure_data("figure_1", [folder / GATHERED], folder / FIGURE_DATA, FigureSettings())
    minari_files.make(folder)
    np.savez(folder / "checkpoint.npz", **make_weights())
    weights = {name: torch.from_numpy(array) for name, array in make_weights().items()}
    torch.save({"actor": weights, "critic1": {}, "critic2": {}}, folder / "checkpoint.pt")
    with h5py.File(folder / "data.hdf5", "w") as file:
        file["observations"], file["actions"] = np.ones((20, 3)), np.zeros((20, 1))
        file["rewards"], file["terminals"] = np.ones(20), np.arange(20) == 9
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def words(command: str) -> list[str]:
    return shlex.split(command)


def refused(capfd, arguments: list[str]) -> str:
    """Run a command that must fail in one line and write nothing; returns the line."""
    before = contents(Path.cwd())
    capfd.readouterr()
    with pytest.raises(SystemExit) as end:
        main(arguments)
    said = capfd.readouterr().err
    assert end.value.code == 2, said
    assert said.count("\n") == 1, said
    after = contents(Path.cwd())
    written = after.keys() - before.keys()
    assert after.items() >= before.items()
    assert not written, written
    return said


def edit_text(path, old, new):
    def change():
        text = Path(path).read_text()
        assert old in text
        Path(path).write_text(text.replace(old, new))

    return change
