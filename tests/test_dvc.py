"""dvc.yaml and the workflow agree."""

from pathlib import Path

import yaml

from obd.config import Config

REPOSITORY = Path(__file__).parents[1]
STAGES = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]


def parameters(stage):
    return {key for entry in stage["params"] for keys in entry.values() for key in keys}


def test_each_stage_is_a_target_and_keeps_its_folder():
    rules = "".join(file.read_text() for file in (REPOSITORY / "workflow/rules").glob("*.smk"))
    for name, stage in STAGES.items():
        assert stage["cmd"] == f"snakemake {name}"
        assert f"\nrule {name}:" in rules
        assert stage["outs"] == [{f"results/{name}": {"persist": True}}]
        assert {"Snakefile", "workflow/rules", "src/obd"} <= set(stage["deps"])


def test_every_key_of_the_configuration_is_a_parameter():
    assert set().union(*(parameters(stage) for stage in STAGES.values())) == set(Config.model_fields)


def test_parameters_stand_in_the_default_configuration():
    """DVC refuses to start otherwise."""
    written = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    for stage in STAGES.values():
        assert parameters(stage) <= set(written)
