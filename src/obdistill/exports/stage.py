"""Exports: a synset into a folder with a card, a policy into a file."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from obdistill.core import artifacts
from obdistill.core.atomic import as_json, write_text
from obdistill.core.errors import UserError
from obdistill.exports.card import card, croissant
from obdistill.exports.facts import Facts, gather_facts, last_snapshot
from obdistill.exports.forms import write_pairs
from obdistill.exports.settings import POLICY_FORMS, SUFFIXES, SYNSET_FORMS, Form, SynsetForm
from obdistill.policies.policy import Policy
from obdistill.synsets.synset import Synset, read_synset, write_synset

CARD, CROISSANT, SYNSET = "README.md", "croissant.json", "synset.npz"
KEPT = ("settings", "inputs", "device", "precision", "threads", "weights")  # of the sidecar of the synset
log = logging.getLogger(__name__)


def export(
    path: Path,
    form: Form,
    out: Path,
    dataset: Path | None = None,
    near_expert: Path | None = None,
    returns: Sequence[Path] = (),
    license_name: str | None = None,
    attribution: str = "",
) -> None:
    """Export a synset into a folder, or a policy into a file.

    Parameters
    ----------
    path : Path
        Synset (``.npz``) or policy (``.safetensors``).
    form : str
        A form of synsets (npz, parquet, json, minari) or of policies (onnx, sb3).
    out : Path
        Folder for a synset, file for a policy.
    dataset, near_expert, returns, license_name, attribution
        For the card of a synset, as `obdistill.exports.facts.gather_facts` takes them.

    Raises
    ------
    UserError
        If the file cannot be read, or form, file and `out` do not fit each other.
    """
    wanted = SYNSET_FORMS if path.suffix == ".npz" else POLICY_FORMS
    if form not in wanted:
        raise UserError(f"--to {form}: {path} is exported to {', '.join(wanted)}")
    if form in SUFFIXES:
        if out.suffix != SUFFIXES[form]:
            raise UserError(f"--out {out}: ends in {out.suffix or 'nothing'!r}; {SUFFIXES[form]} is needed")
        _export_policy(Policy.load(path), form, out)
    else:
        if out.is_file():
            raise UserError(f"--out {out}: is a file; a folder is needed")
        facts = gather_facts(read_synset(path), dataset, near_expert, returns, license_name, attribution)
        export_synset(facts, cast("SynsetForm", form), out)
    log.info("%s: %s", out, form)


def export_synset(facts: Facts, form: SynsetForm, folder: Path) -> None:
    """Write ``synset.npz``, the pairs in another form, the card and the Croissant metadata into a folder.

    Parameters
    ----------
    facts : Facts
        The synset, and what is known of it.
    form : {"npz", "parquet", "json", "minari"}
        The other form; none for ``npz``.
    folder : Path
        Where to write.
    """
    write_last_snapshot(facts.synset, folder / SYNSET)
    files = {SYNSET: "the synset as `obdistill.read_synset` takes it, with `synset.json` beside it"}
    files |= write_pairs(form, facts, folder)
    write_card(facts, folder, files, f'obdistill.read_synset("{SYNSET}")')


def write_last_snapshot(synset: Synset, path: Path) -> None:
    """Write a synset of the last snapshot only; the sidecar says what it was made with, and from which file it is."""
    made = artifacts.metadata_of(synset.artifact)
    facts = {key: made[key] for key in KEPT if key in made}
    if synset.artifact is not None:
        facts["exported_from"] = artifacts.inputs(synset=synset.artifact)["synset"]
    write_synset(path, last_snapshot(synset), facts)


def write_card(facts: Facts, folder: Path, files: Mapping[str, str], reads: str) -> None:
    """Write ``README.md`` and ``croissant.json`` about the files of a folder; see `card` and `croissant`."""
    write_text(folder / CROISSANT, as_json(croissant(facts, folder, files)))
    write_text(folder / CARD, card(facts, reads, {**files, CROISSANT: "metadata in the format Croissant 1.0"}))


def _export_policy(policy: Policy, form: Form, out: Path) -> None:
    if form == "onnx":
        from obdistill.exports.onnx_graph import write_onnx  # here, for it needs an optional package

        write_onnx(policy, out)
    else:
        from obdistill.exports.sb3 import write_sb3  # here, for it needs an optional package

        write_sb3(policy, out)
