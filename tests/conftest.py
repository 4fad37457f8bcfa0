"""What all tests share."""

import os
import shutil
import signal
from pathlib import Path

import pytest
import torch

# two threads that wait for each other on a busy machine cost more than one
torch.set_num_threads(1)
# a shell that starts the tests in the background has them, and all that they start, ignore these
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory):
    """Downloads, and what is remembered of files, go to a folder of the tests; child processes see it too."""
    os.environ["OBD_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def folder(good, tmp_path, monkeypatch):
    """A copy, as working directory, of the folder of sound files that a test's module makes in its fixture `good`."""
    copy = Path(shutil.copytree(good, tmp_path / "folder"))
    monkeypatch.chdir(copy)
    return copy
