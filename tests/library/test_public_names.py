"""`import obdistill`: light, complete, and typed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import obdistill

FILE = Path(obdistill.__file__)


def test_importing_takes_no_time_and_nothing_heavy():
    code = (
        "import sys, time; start = time.process_time(); import obdistill; seconds = time.process_time() - start\n"
        "print(seconds, *sorted({'torch', 'numpy', 'pandas', 'gymnasium', 'pydantic'} & set(sys.modules)))"
    )
    seconds, *heavy = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=FILE.parents[1]
    ).stdout.split()
    assert heavy == []
    assert float(seconds) < 0.2


@pytest.mark.parametrize("name", obdistill.__all__)
def test_every_public_name_is_there_and_documented(name):
    found = getattr(obdistill, name)
    assert found.__doc__
    assert found.__module__.startswith("obdistill.")
    assert name in dir(obdistill)


def test_type_checkers_see_the_same_names():
    block = next(node for node in ast.parse(FILE.read_text()).body if isinstance(node, ast.If))
    imported = {alias.name: node.module for node in block.body for alias in node.names}
    assert imported.keys() == set(obdistill.__all__)
    assert imported == {name: f"obdistill.{module}" for module, names in obdistill._MODULES.items() for name in names}
    assert (FILE.parent / "py.typed").is_file()


def test_another_name_is_an_ordinary_error():
    with pytest.raises(AttributeError, match=r"^module 'obdistill' has no attribute 'destill'$"):
        _ = obdistill.destill
