"""A hand-made Minari dataset, made once for each file of tests."""

import shutil
from pathlib import Path

import pytest

from helpers.minari_files import ID, make


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("original"))


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """Folder of a copy of the hand-made dataset, below the test's own root."""
    return Path(shutil.copytree(original, tmp_path / ID))
