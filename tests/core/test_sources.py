"""Which source files a stage's results depend on."""

import ast
import contextlib
import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from obdistill.cli import STAGES
from obdistill.core import artifacts, provenance, sources
from obdistill.core.errors import UserError
from obdistill.core.sources import CHOICES, MACHINERY, STARTS, closure, is_machinery
from obdistill.datasets.settings import DatasetSettings
from obdistill.near_experts.settings import NearExpertSettings

REPOSITORY = Path(__file__).parents[2]
FILES = {
    "__init__.py": "",
    "errors.py": "",
    "far/__init__.py": "",
    "far/deep.py": "import os\nfrom . import beside\nfrom ..errors import Error",
    "far/beside.py": "from package.other import something",
    "other.py": "def late():\n    import package.late\n",
    "late.py": "from package.errors import *",
    "unused.py": "from package import stage",
    "one.py": "import package.late",
    "two.py": "from package import one",
    "stage.py": "import typing\nfrom package import one, two\nif typing.TYPE_CHECKING:\n    from package import other",
}
CACHES = (sources._graph, sources.folder, sources._files, sources._sha256, sources.files, sources.digest)


@pytest.fixture
def package(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / "package" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "package" / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(STARTS, "make", ["package.stage"])
    monkeypatch.setitem(CHOICES, "make", ("kind", {"first": "package.one", "second": "package.two"}))
    monkeypatch.setattr(sources, "folder", lambda name="package": tmp_path / name)
    for cache in CACHES:
        cache.cache_clear()
    yield tmp_path / "package"
    for cache in CACHES:
        cache.cache_clear()


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("errors", ["errors"]),
        # relative imports, imports inside functions, star imports
        ("far.deep", ["errors", "far.beside", "far.deep", "late", "other"]),
        # not what type checkers read only
        ("stage", ["errors", "late", "one", "stage", "two"]),
    ],
)
def test_closure(package, module, expected):
    assert closure(f"package.{module}") == [f"package.{name}" for name in expected]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("first", ["errors", "late", "one", "stage"]),
        # `one` is left out by the stage, but the other choice needs it
        ("second", ["errors", "late", "one", "stage", "two"]),
        (None, ["errors", "late", "one", "stage", "two"]),
    ],
)
def test_files_of_a_choice(package, chosen, expected):
    assert sources.files("make", chosen) == [package / f"{name}.py" for name in expected]
    assert sources.choice("make", {"kind": chosen, "other": 1}) == chosen


def test_an_unknown_module(package):
    with pytest.raises(ModuleNotFoundError, match=r"^no module package\.nowhere$"):
        closure("package.nowhere")


def test_a_table_beside_a_module_goes_with_it(package):
    (package / "late.csv").write_text("1")
    assert package / "late.csv" in sources.files("make")


def test_the_digest_is_of_names_and_contents_and_of_no_place(package):
    def digest():
        for cache in CACHES:
            cache.cache_clear()
        return sources.digest("make")

    first = digest()
    assert digest() == first
    (package / "unused.py").write_text("1")
    assert digest() == first
    (package / "late.csv").write_text("1")
    assert digest() != first
    (package / "late.csv").unlink()
    (package / "late.py").write_text(FILES["late.py"] + "\n")
    assert digest() != first


@pytest.mark.parametrize("start", ["obdistill.datasets.stage", "obdistill.evaluations.near_expert"])
def test_a_stage_imports_its_sources_and_machinery_alone(start):
    """All that Python loads for a stage is known: source, machinery or what it needs, or a package's docstring."""
    code = f"import sys, {start}; print(*[name for name in sys.modules if name.split('.')[0] == 'obdistill'])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    found = closure(start)
    assert not [name for name in found if is_machinery(name)]
    packages = {".".join(file.parent.relative_to(REPOSITORY / "src").parts) for file in package_files()}
    for name in set(loaded) - set(found) - packages:
        importers = sources._graph("obdistill").find_modules_that_directly_import(name) & set(loaded)
        assert is_machinery(name) or all(is_machinery(importer) for importer in importers), name


def package_files():
    return (REPOSITORY / "src/obdistill").rglob("__init__.py")


def test_packages_hold_a_docstring_only():
    """Else they would be sources of what they hold; the outermost one holds public names."""
    for file in package_files():
        if file.parent.name != "obdistill":
            assert len(ast.parse(file.read_text()).body) == 1, file


def test_no_stage_depends_on_commands_or_on_the_experiment():
    for start in itertools.chain(*STARTS.values()):
        for name in set(closure(start)) - {"obdistill.core.methods"}:
            assert not name.startswith("obdistill.experiment"), name
            assert name.split(".")[-1] not in ("cli", "command", "settings"), name


def test_machinery_says_why():
    assert all(MACHINERY.values())


@pytest.mark.parametrize(("command", "model"), [("dataset", DatasetSettings), ("near-expert", NearExpertSettings)])
def test_choices_are_what_the_settings_offer(command, model):
    tag, modules = CHOICES[command]
    discriminator = model.model_json_schema()["discriminator"]
    assert (tag, set(modules)) == (discriminator["propertyName"], set(discriminator["mapping"]))
    assert set(modules.values()) <= set(closure(STARTS[command][0]))


def test_what_is_noted_is_in_the_metadata_of_what_is_written_meanwhile(tmp_path):
    options = {"size": 8, "dataset": tmp_path / "dataset.npz"}
    with provenance.noted("distill", {"steps": 3}, options):
        artifacts.write_artifact(tmp_path / "inside.npz", {"a": np.zeros(1)}, {"kind": "test"})
    artifacts.write_artifact(tmp_path / "outside.npz", {"a": np.zeros(1)}, {"kind": "test"})
    made_from = {"settings": {"steps": 3}, "options": {"size": 8}, "sources": sources.digest("distill")}
    assert artifacts.read_metadata(tmp_path / "inside.npz", "test")["made_from"] == made_from
    assert "made_from" not in artifacts.read_metadata(tmp_path / "outside.npz", "test")


@pytest.mark.parametrize("command", ["distill", "evaluate"])
def test_a_job_of_a_run_that_began_with_other_sources_ends(monkeypatch, command):
    begun = {provenance.key("distill", None): "0", provenance.key("evaluate", None): sources.digest("evaluate")}
    monkeypatch.setenv(provenance.VARIABLE, json.dumps(begun))
    line = "^the sources were changed while the run was going; type the same command again$"
    with pytest.raises(UserError, match=line) if command == "distill" else contextlib.nullcontext():
        provenance.noted(command, {}, {}).__enter__()


def test_every_command_is_there():
    run = [
        sys.executable,
        "-c",
        "from obdistill.cli import STAGES, obd; print([obd.get_command(None, n).name for n in STAGES])",
    ]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == f"{list(STAGES)}\n"


@pytest.mark.skipif(shutil.which("lint-imports") is None, reason="import-linter is not on the PATH")
def test_layers():
    run = subprocess.run(["lint-imports", "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("command", STARTS)
def test_how_numbers_are_written_counts_for_every_command(command):
    """Machinery alone imports it, and machinery is left out."""
    assert sources.folder() / "core/formats.py" in sources.files(command)


def test_what_settings_compute_for_a_collection_counts():
    assert sources.folder() / "datasets/d4rl_facts.py" in sources.files("collect")
