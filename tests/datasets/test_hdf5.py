"""HDF5 files that are damaged or made to harm: cut, packed, empty, or with data elsewhere."""

import h5py
import numpy as np
import pytest

from helpers.d4rl_files import write_file
from obdistill.core.errors import UserError
from obdistill.datasets import checks, d4rl


def test_truncated_file(tmp_path):
    path = write_file(tmp_path / "data.hdf5", ["." * 500] * 10)
    whole = path.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, 50):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match="no HDF5 file, or only a part of one"):
            d4rl.read(path)


def test_damaged_chunk(tmp_path):
    path = write_file(tmp_path / "data.hdf5", ["..T", "...."], rewards=None)
    with h5py.File(path, "a") as file:
        rewards = file.create_dataset("rewards", data=np.arange(7.0), compression="gzip", chunks=(7,), fletcher32=True)
        offset = rewards.id.get_chunk_info(0).byte_offset
    data = bytearray(path.read_bytes())
    data[offset + 2] ^= 255
    path.write_bytes(data)
    with pytest.raises(UserError, match="damaged HDF5"):
        d4rl.read(path)


@pytest.mark.parametrize(
    "kind", ["external link", "external storage", "virtual dataset", "deep link", "behind a soft link"]
)
def test_data_outside_the_file_are_refused(tmp_path, kind):
    secret = write_file(tmp_path / "secret.hdf5", ["..T", "...."])
    path = write_file(tmp_path / "data.hdf5", ["..T", "...."], rewards=None)
    with h5py.File(path, "a") as file:
        if kind == "external link":
            file["rewards"] = h5py.ExternalLink(secret.name, "rewards")
        elif kind == "external storage":
            (tmp_path / "secret.bin").write_bytes(np.arange(7.0).tobytes())
            file.create_dataset("rewards", (7,), "f8", external=[(str(tmp_path / "secret.bin"), 0, 56)])
        elif kind == "virtual dataset":
            layout = h5py.VirtualLayout(shape=(7,), dtype="f4")
            layout[:] = h5py.VirtualSource(str(secret), "rewards", shape=(7,))
            file.create_virtual_dataset("rewards", layout)
        else:
            file["infos/there"] = h5py.ExternalLink(secret.name, "/")
            file["rewards"] = h5py.SoftLink("/infos/there/rewards") if kind == "behind a soft link" else np.arange(7.0)
    with pytest.raises(UserError, match="refers to another file"):
        d4rl.read(path)


def test_soft_links_inside_the_file_are_fine(tmp_path):
    path = write_file(tmp_path / "data.hdf5", ["..T", "...."], rewards=None, reward=np.arange(7.0))
    with h5py.File(path, "a") as file:
        file["rewards"] = h5py.SoftLink("/reward")
    assert d4rl.read(path).rewards.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("key", ["observations", "actions", "rewards", "terminals", "timeouts"])
def test_scalar_arrays_are_one_line(tmp_path, key):
    path = write_file(tmp_path / "data.hdf5", ["..T", "...."], **{key: 3.0})
    with pytest.raises(UserError, match=rf"{key}.* \(\)"):
        d4rl.read(path)
    with h5py.File(path, "a") as file:
        del file[key]
        file[key] = h5py.Empty("f4")
    with pytest.raises(UserError, match=f"{key}: is empty; numbers are needed"):
        d4rl.read(path)


def test_a_filter_that_is_not_installed_is_named(tmp_path, monkeypatch):
    path = write_file(tmp_path / "data.hdf5", ["..T", "...."], rewards=None)
    with h5py.File(path, "a") as file:
        file.create_dataset("rewards", data=np.arange(7.0), chunks=(7,), compression="lzf")
    d4rl.read(path)
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda code: False)
    with pytest.raises(UserError, match=r"rewards: is packed with the filter 32000 \(LZF\), which is not installed"):
        d4rl.read(path)


def test_pieces_that_were_never_written_are_not_zeros(tmp_path):
    path = write_file(tmp_path / "data.hdf5", ["..T", "...."], rewards=None, actions=None)
    with h5py.File(path, "a") as file:
        file.create_dataset("actions", (7, 1), "f4")
        chunked = file.create_dataset("rewards", (7,), "f4", chunks=(2,))
        chunked[:3] = 1
    with pytest.raises(UserError, match="actions: all of its pieces were never written; the file is not whole"):
        d4rl.read(path)
    with h5py.File(path, "a") as file:
        file["actions"][:] = 1
    with pytest.raises(UserError, match="rewards: 2 of 4 of its pieces were never written"):
        d4rl.read(path)
    with h5py.File(path, "a") as file:
        file["rewards"][:] = 1
    assert len(d4rl.read(path)) == 6


@pytest.mark.parametrize("kind", ["packed", "unwritten", "linked"])
def test_a_small_file_cannot_fill_the_memory(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(checks, "SMALLEST_LIMIT", 2**16)
    rows = 20_000
    with h5py.File(tmp_path / "data.hdf5", "w", libver="latest") as file:
        if kind == "linked":  # each is small enough
            observations = file.create_dataset("observations", data=np.zeros((rows // 10, 6)), compression="gzip")
            for key in ("actions", "rewards", "terminals"):
                file[key] = observations
        else:
            file.create_dataset("observations", (rows, 6), "f8", chunks=(rows, 6), compression="gzip")
            if kind == "packed":
                file["observations"][:] = 0
    size = (tmp_path / "data.hdf5").stat().st_size
    with pytest.raises(UserError, match=f"data.hdf5: refused: {size} bytes would unpack to"):
        d4rl.read(tmp_path / "data.hdf5")
