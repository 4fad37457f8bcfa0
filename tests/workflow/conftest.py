"""A workflow of stages that only pretend, after a whole run."""

import pytest

from helpers.workflow_copy import CONFIG, WorkflowCopy, write_inputs


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The workflow after a whole run."""
    workflow = WorkflowCopy.make(tmp_path_factory.mktemp("workflow") / "finished", CONFIG)
    write_inputs(workflow)
    run = workflow.snakemake("--quiet")
    assert run.code == 0, run.text
    return workflow


@pytest.fixture
def workflow(finished, tmp_path):
    return finished.duplicate(tmp_path / "copy")
