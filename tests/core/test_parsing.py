"""Reading YAML, merging layers, and settings out of anything."""

import string
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.configurations import GOOD
from obdistill.core.errors import UserError
from obdistill.core.parsing import assignments, load_yaml, merge, read_yaml, write_yaml
from obdistill.experiment.config import Config

always_the_same = settings(derandomize=True, deadline=None, max_examples=100)
TEXT = st.text(string.printable, max_size=5)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT
KEYS = st.sampled_from(sorted(Config.model_fields)) | TEXT
PLAIN = st.dictionaries(
    KEYS,
    st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)),
    max_size=4,
)


def test_numbers_are_read_as_they_look(tmp_path):
    """YAML 1.1 took 010 for eight, 1:30 for ninety and 1e-3 for text."""
    path = tmp_path / "a.yaml"
    path.write_text("a: [010, 064, 1:30, 1e-3, 1_000, yes, 2026-01-01, 0o10]\nb: &b {x: 1, y: 2}\nc: {<<: *b, y: 3}\n")
    assert load_yaml(path) == {
        "a": [10, 64, "1:30", 1e-3, 1000, "yes", "2026-01-01", 8],
        "b": {"x": 1, "y": 2},
        "c": {"x": 1, "y": 3},
    }
    assert assignments(["a.b=1e-3", "a.c=010", "d=[1:30]"]) == {"a": {"b": 1e-3, "c": 10}, "d": ["1:30"]}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("steps", "--set 'steps': write key=value, e.g. --set steps=300"),
        ("=3", "--set '=3': write key=value, e.g. --set steps=300"),
        (
            "a=[",
            "--set 'a=[': the value is not YAML (expected the node content, but found '<stream end>', line 1, "
            "column 2)",
        ),
    ],
)
def test_assignments_that_are_none(text, line):
    with pytest.raises(UserError) as error:
        assignments([text])
    assert str(error.value) == line


def test_an_empty_mapping_replaces():
    assert merge({"a": {"b": 1}, "c": {"d": 2}}, {"a": {}, "c": {"e": 3}}) == {"a": {}, "c": {"d": 2, "e": 3}}
    assert Config.parse(merge({**GOOD, "protocols": {"x": {}}}, {"protocols": {}}), "good.yaml").protocols == {}


@always_the_same
@given(PLAIN)
def test_what_is_written_is_read_again(data):
    assert read_yaml(write_yaml(data)) == data


@always_the_same
@given(st.text(alphabet="ab:-[]{}&*!?|>'\"%@`,#\n 01e.<=~", max_size=40))
def test_any_text_is_read_or_refused_in_one_line(text):
    with suppress(ValueError):
        read_yaml(text)


@always_the_same
@given(PLAIN)
def test_any_plain_data_is_a_configuration_or_refused(data):
    """Each problem on one line that names its source."""
    said = ""
    try:
        Config.parse({**GOOD, **data}, "a.yaml")
    except UserError as error:
        said = str(error)
    assert all(line.startswith("a.yaml: ") for line in said.splitlines())
