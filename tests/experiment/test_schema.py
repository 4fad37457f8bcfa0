"""The JSON schema and the reference of the configuration are those of the settings classes."""

import json
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from helpers.configurations import BAD, GOOD, bad
from obdistill.core.errors import UserError
from obdistill.core.parsing import load_yaml
from obdistill.experiment import schema
from obdistill.experiment.command import schema as schema_command

REPOSITORY = Path(__file__).parents[2]
FILES = ["config.yaml", *(f"config/{name}.yaml" for name in ("paper", "recipe", "fast", "rebrac", "published"))]
# what a schema of one file cannot say: names in other places, counts, what another file may add
BEYOND = (
    "no such",
    "not make",
    "twice",
    "several",
    "changes nothing",
    "not in",
    "matches no",
    "no effect",
    "own name",
    "name of",
    "missing",
    "more than",
    "must rise",
    "finite",
    "brace",
    "at least 1 item",
    "unknown key (did you mean 'tasks'?)",
)


def test_the_files_are_up_to_date():
    """If not: `make config-docs`."""
    readme = (REPOSITORY / "config/README.md").read_text()
    assert (REPOSITORY / "config/schema.json").read_text() == schema.schema_text()
    assert readme == schema.readme_text(readme)


@pytest.mark.parametrize("name", FILES)
def test_the_projects_own_configurations_follow_the_schema(name):
    first, *_ = (REPOSITORY / name).read_text().splitlines()
    folder, _, path = first.partition("$schema=")
    assert folder == "# yaml-language-server: "
    assert (REPOSITORY / name).parent.joinpath(path).resolve() == REPOSITORY / "config/schema.json"
    jsonschema.validate(load_yaml(REPOSITORY / name), schema.schema())


def test_the_schema_refuses_what_the_settings_refuse():
    validator = jsonschema.Draft202012Validator(schema.schema())
    validator.check_schema(schema.schema())
    assert validator.is_valid(GOOD)
    for path, value, line in BAD:
        if not any(words in line for words in BEYOND):
            assert not validator.is_valid(bad(path, value)), line


def test_the_command_writes_both_files(tmp_path):
    (tmp_path / "README.md").write_text(f"before\n{schema.BEGIN}\nold\n{schema.END}\nafter\n")
    answer = CliRunner().invoke(schema_command, [str(tmp_path)])
    assert answer.exit_code == 0, answer.output
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| `distill.outer.learning_rate` | `0.2` | number > 0 | learning rate" in text
    assert "old" not in text.splitlines()
    assert json.loads((tmp_path / "schema.json").read_text()) == schema.schema()


def test_keys_of_one_source_or_algorithm_say_so():
    rows = {line.split("`")[1]: line for line in schema.table().splitlines() if line.startswith("| `")}
    assert rows["tasks.<name>.dataset.download"].endswith("(source: minari) |")
    assert rows["tasks.<name>.near_expert.steps"].endswith("(algorithm: cal_ql, iql, td3_bc, rebrac) |")


@pytest.mark.parametrize("text", ["", schema.BEGIN, f"{schema.END} {schema.BEGIN}"])
def test_a_readme_without_a_place_for_the_table_is_refused(text):
    with pytest.raises(UserError, match=r"^README\.md: lacks the lines '.*begin.*' and '.*end.*'"):
        schema.readme_text(text)
