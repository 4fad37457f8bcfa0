"""Which source files a stage's results depend on."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from obdistill.cli import STAGES
from obdistill.core import sources
from obdistill.core.sources import CHOICES, MACHINERY, closure, is_machinery

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
STARTS = [
    "obdistill.datasets.collect",
    "obdistill.datasets.stage",
    "obdistill.near_experts.stage",
    "obdistill.synsets.stage",
    "obdistill.evaluations.stage",
    "obdistill.evaluations.near_expert",
    "obdistill.evaluations.cost",
]


@pytest.fixture
def package(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / "package" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "package" / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(CHOICES, "package.stage", {"first": "package.one", "second": "package.two"})
    caches = (sources._graph, sources.folder, sources._files, sources._sha256, sources.digest)
    for cache in caches:
        cache.cache_clear()
    yield tmp_path / "package"
    for cache in caches:
        cache.cache_clear()


@pytest.mark.parametrize(
    ("module", "chosen", "expected"),
    [
        ("errors", None, ["errors"]),
        # relative imports, imports inside functions, star imports
        ("far.deep", None, ["errors", "far.beside", "far.deep", "late", "other"]),
        # not what type checkers read only
        ("stage", None, ["errors", "late", "one", "stage", "two"]),
        ("stage", "first", ["errors", "late", "one", "stage"]),
        # left out by the stage, but the other choice needs it
        ("stage", "second", ["errors", "late", "one", "stage", "two"]),
    ],
)
def test_closure(package, module, chosen, expected):
    assert closure(f"package.{module}", chosen) == [f"package.{name}" for name in expected]
    files = [f"package/{name.replace('.', '/')}.py" for name in expected]
    assert sources.sources(f"package.{module}", chosen=chosen) == sorted(files)


def test_an_unknown_module(package):
    with pytest.raises(ModuleNotFoundError, match=r"^no module package\.nowhere$"):
        closure("package.nowhere")


def test_a_table_beside_a_module_goes_with_it(package):
    (package / "late.csv").write_text("1")
    assert sources.sources("package.one") == [
        "package/errors.py",
        "package/late.csv",
        "package/late.py",
        "package/one.py",
    ]


def test_the_digest_is_of_names_and_contents_and_of_no_place(package, tmp_path):
    def digest():
        for cache in (sources._graph, sources.folder, sources._files, sources._sha256, sources.digest):
            cache.cache_clear()
        return sources.digest("package.stage")

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
    for start in [*STARTS, "obdistill.paper.summary"]:
        for name in closure(start):
            assert not name.startswith("obdistill.experiment"), name
            assert name.split(".")[-1] not in ("cli", "command", "settings"), name


def test_machinery_says_why():
    assert all(MACHINERY.values())


def test_choices_are_what_the_stages_offer():
    from obdistill.datasets.settings import DatasetSettings
    from obdistill.near_experts.settings import NearExpertSettings

    for start, model, tag in (
        ("obdistill.datasets.stage", DatasetSettings, "source"),
        ("obdistill.near_experts.stage", NearExpertSettings, "algorithm"),
    ):
        offered = model.model_json_schema()["discriminator"]["mapping"]
        assert set(CHOICES[start]) == set(offered), tag
        assert set(CHOICES[start].values()) <= set(closure(start))


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
