"""PyTorch files that are damaged, of an old format, pointers, or made to fill the memory."""

import pickle
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from obdistill.core.errors import UserError
from obdistill.datasets import checks
from obdistill.near_experts import corl, torch_files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A small checkpoint."""
    torch.save({"actor": {"net.0.weight": torch.arange(600.0)}, "step": 3}, tmp_path / "checkpoint.pt")
    return tmp_path / "checkpoint.pt"


def test_a_flipped_bit_is_refused_or_changes_nothing(path):
    whole, right = path.read_bytes(), corl.read_weights(path)["actor.net.0.weight"]
    generator, errors = random.Random(0), []
    for _ in range(120):
        data = bytearray(whole)
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        path.write_bytes(data)
        try:
            np.testing.assert_array_equal(corl.read_weights(path)["actor.net.0.weight"], right)
        except UserError as error:
            errors.append(str(error))
    assert len(errors) > 40
    assert not any("\n" in error for error in errors)


def test_a_wrong_checksum_is_named(path):
    data = path.read_bytes()
    offset = data.index(np.arange(600, dtype=np.float32).tobytes())
    path.write_bytes(data[: offset + 6] + b"\x01" + data[offset + 7 :])
    with pytest.raises(UserError, match=r"checkpoint\.pt: damaged: a checksum does not fit \(checkpoint/data/0\)"):
        torch_files.load(path)


def test_a_cut_file_is_told(path):
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"is no readable PyTorch checkpoint \("):
        torch_files.load(path)


def test_the_old_format_is_read_with_a_warning(path, caplog):
    torch.save({"actor": {"net.0.weight": torch.ones(3)}}, path, _use_new_zipfile_serialization=False)
    assert corl.read_weights(path)["actor.net.0.weight"].tolist() == [1, 1, 1]
    assert "is in PyTorch's old format, which has no checksums" in caplog.text


def test_a_pointer_is_told(path):
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4007983\n")
    with pytest.raises(UserError, match="only points to the file, which has not been fetched; run git lfs pull"):
        corl.read_weights(path)


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("form", ["expanded", "sparse"])
def test_a_small_file_cannot_fill_the_memory(path, monkeypatch, form):
    monkeypatch.setattr(checks, "SMALLEST_LIMIT", 2**20)
    one = torch.zeros(1, 1)
    wide = one.expand(2000, 2000) if form == "expanded" else torch.sparse_coo_tensor([[0], [0]], [1.0], (2000, 2000))
    torch.save({"actor": {"net.0.weight": wide}}, path)
    assert path.stat().st_size < 10_000
    with pytest.raises(UserError, match=r"checkpoint\.pt: refused: \d+ bytes would unpack to"):
        corl.read_weights(path)


def test_many_views_of_one_tensor_cannot_fill_the_memory(path, monkeypatch):
    monkeypatch.setattr(checks, "SMALLEST_LIMIT", 2**20)
    wide = torch.zeros(1).expand(100_000)
    torch.save({"actor": {f"net.{number}.weight": wide for number in range(10)}}, path)
    with pytest.raises(UserError, match=r"refused: \d+ bytes would unpack to"):
        corl.read_weights(path)


@pytest.mark.parametrize("form", ["itself", "the next"])
def test_mappings_within_mappings_end(path, form):
    content: dict[str, object] = {}
    inner = content
    for _ in range(5):
        following = content if form == "itself" else {}
        inner |= {f"critic{number}": following for number in range(50)}
        inner = following
    torch.save(content, path)
    with pytest.raises(UserError, match="refused: holds more than 100000 values"):
        corl.read_weights(path)


def test_packed_zeros_cannot_fill_the_memory(path, monkeypatch):
    monkeypatch.setattr(checks, "SMALLEST_LIMIT", 2**20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("checkpoint/data.pkl", bytes(2**22))
    with pytest.raises(UserError, match=r"refused: \d+ bytes would unpack to"):
        torch_files.load(path)


class Large:
    """Pickles as ``bytearray(10)``, where 10 could be any number."""

    def __reduce__(self):
        return bytearray, (10,)


@pytest.mark.parametrize("form", ["zip", "bare pickle"])
def test_a_call_that_makes_bytes_of_any_size_is_refused(path, form):
    if form == "zip":
        torch.save({"actor": Large()}, path)
    else:
        path.write_bytes(pickle.dumps({"actor": Large()}, protocol=2))
    with pytest.raises(UserError, match=r"refused: holds more than tensors and plain values \(a bytearray\)"):
        torch_files.load(path)


def test_arrays_inside_are_read_but_not_objects(path):
    torch.save({"a": np.arange(3.0), "b": np.float32(2), "c": np.zeros((2, 2), np.int64)}, path)
    content = torch_files.load(path)
    assert content["a"].tolist() == [0, 1, 2]
    assert content["b"] == 2
    torch.save({"a": np.array([Path()], object)}, path)
    with pytest.raises(UserError, match="refused: holds more than tensors and plain values"):
        torch_files.load(path)
