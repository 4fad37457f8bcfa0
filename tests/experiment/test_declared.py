"""Names in settings are those that the code implements, and reading settings loads no code that computes."""

import subprocess
import sys
from typing import get_args

import pytest

from obdistill.core import methods
from obdistill.datasets.settings import DatasetSettings
from obdistill.experiment import checks
from obdistill.near_experts.settings import NearExpertSettings
from obdistill.near_experts.stage import LEARNERS
from obdistill.paper import numbers
from obdistill.paper.figures.make import FIGURES
from obdistill.paper.settings import FigureName, TableName
from obdistill.paper.tables.make import TABLES
from obdistill.policies.architectures import ARCHITECTURES
from obdistill.policies.settings import ArchitectureName
from obdistill.synsets.objectives import TARGETS_OF
from obdistill.synsets.selection import ROWS_OF

HEAVY = ("torch", "matplotlib", "minari", "mujoco", "gymnasium", "stable_baselines3", "h5py", "pandas", "scipy")


def tags(model, key):
    variants = get_args(model.model_fields["root"].annotation)
    return [name for variant in variants for name in get_args(variant.model_fields[key].annotation)]


@pytest.mark.parametrize(
    ("declared", "implemented"),
    [
        (get_args(ArchitectureName), ARCHITECTURES),
        (get_args(TableName), TABLES),
        (get_args(FigureName), FIGURES),
        (methods.OBJECTIVES, TARGETS_OF),
        (methods.SELECTIONS, ROWS_OF),
        (tags(NearExpertSettings, "algorithm"), [*LEARNERS, "import"]),
    ],
    ids=["architectures", "tables", "figures", "objectives", "selections", "algorithms"],
)
def test_what_is_declared_is_implemented(declared, implemented):
    assert list(declared) == list(implemented)


def test_the_column_over_all_tasks_has_one_name():
    assert checks.AVERAGE == numbers.AVERAGE


def test_every_source_has_a_module():
    """What is no source is refused by mypy: `datasets.stage` matches on the settings class."""
    assert tags(DatasetSettings, "source") == ["minari", "d4rl", "collect", "arrays", "ogbench", "lerobot"]


def test_settings_load_no_code_that_computes():
    modules = "obdistill.experiment.jobs, obdistill.experiment.record"
    code = f"import sys, {modules}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
