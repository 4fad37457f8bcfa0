"""Another workflow uses this one as a module, from a folder of its own."""

import yaml

from helpers.workflow_copy import CONFIG, REPOSITORY, WorkflowCopy, write_inputs

SNAKEFILE = """
configfile: "own.yaml"

module obdistill:
    snakefile: "../product/workflow/Snakefile"
    config: config["distillation"]

use rule * from obdistill as obd_*

rule mine:
    default_target: True
    input: rules.obd_tables.input
    output: "results/mine.txt"
    shell: "cat {input} > {output}"
"""


def test_another_workflow_uses_this_one(tmp_path):
    WorkflowCopy.make(tmp_path / "product", {"tasks": "not read"})
    other = WorkflowCopy(tmp_path / "other")
    other.environment["PYTHONPATH"] = str(tmp_path / "product/src")
    (other.folder / "profiles/default").mkdir(parents=True)
    (other.folder / "profiles/default/config.yaml").write_text("cores: 2\n")
    (other.folder / "Snakefile").write_text(SNAKEFILE)
    other.write_config({"distillation": CONFIG, "other": "its own"}, "own.yaml")
    write_inputs(other)
    run = other.snakemake("--quiet")
    assert run.code == 0, run.text
    assert "table_1" in (other.folder / "results/mine.txt").read_text()
    again = other.snakemake("--dry-run")
    assert again.counts == {}
    other.write_config({"distillation": {**CONFIG, "seeds": [0, 1, 2]}}, "own.yaml")
    counts = other.snakemake("--dry-run").counts
    assert {rule: count for rule, count in counts.items() if "table" not in rule} == {
        **{"obd_select": 2, "obd_distill": 4, "obd_evaluate": 6, "obd_gather": 1, "mine": 1}
    }
    other.write_config({"distillation": {"seeds": [0]}}, "own.yaml")
    assert "error: config: tasks: missing; it has no default" in other.snakemake("--dry-run").text


def test_the_catalog_finds_what_it_looks_for():
    """The Snakemake workflow catalog's standardized usage."""
    usage = yaml.safe_load((REPOSITORY / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert {"mandatory-flags", "software-stack-deployment", "report"} <= set(usage)
    assert (REPOSITORY / "workflow/Snakefile").is_file()
    main = [line for line in (REPOSITORY / "Snakefile").read_text().splitlines() if line and not line.startswith("#")]
    assert main == [
        'include: "workflow/Snakefile"',
        'workflow.default_target = "all"  # an included file cannot set it',
    ]
