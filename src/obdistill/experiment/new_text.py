"""The text of the configuration that ``obd new`` writes."""

import json
import os
from pathlib import Path

from obdistill.core.atomic import write_text
from obdistill.core.parsing import read_yaml
from obdistill.core.settings import Settings
from obdistill.experiment.config import Config
from obdistill.experiment.new import Proposal
from obdistill.synsets.settings import PROTOCOL

SCHEMA = Path("config/schema.json")
QUICK = """\
      # these suit a short training; leave them out for a longer one
      batch_size: 128
      actor_learning_rate: 1.0e-3
      critic_learning_rate: 1.0e-3
      target_rate: 0.02
"""
TEXT = """\
# yaml-language-server: $schema={schema}
# Written by `obd new`: {transitions} transitions in {episodes} episodes, mean return {mean_return:.4g}.
# Every value is a proposal; config/README.md lists all keys. Paths are seen from the folder in which you run it:
#
#   obd check {out}
#   make run CONFIG={out}
#   obd train {synset} --out policy.safetensors

tasks:
  {task}:
    dataset:
{dataset}
      # What scores 0 and 100: {meaning}.
      # Mean returns: random actions {random_return:.4g}, data {mean_return:.4g}, their best tenth {best_return:.4g}.
      # If you know the return of a better policy, put it in place of the second number.
      reference_returns: [{low:.6g}, {high:.6g}]
    near_expert:
      # {algorithm}: {reason}. Others: cal_ql (the paper's), iql, td3_bc, rebrac.
      algorithm: {algorithm}
      # gradient steps; take more if the near-expert's row in Table 1, OffRL (whole), is low
      steps: {near_expert_steps}
{rates}
# random: real pairs, to compare with; av_pbc: distilled pairs. Others: dbc, pbc, dw_pbc.
methods: [random, av_pbc]

# pairs of a synset
sizes: [{size}]

# one distillation; [0, 1, 2] gives the table intervals
seeds: [0]

distill:
  steps: {steps}
  snapshot_every: {snapshot_every}
  # the project protocol (docs/protocol.md): how policies are trained on pairs, here and in evaluate; the paper's, the
  # default of each key, needs far more time
  inner: &protocol
{inner}
  outer: {{{outer}}}
  # weights of av_pbc: shifted where rewards are negative on average, else mean_one
  weighting: {{form: {weighting}}}

evaluate:
  policies: 10
  episodes: 5
  last_snapshots: 1
  bc: *protocol

report: {{tables: [table_1], figures: []}}
"""


def _keys(settings: Settings) -> list[str]:
    """Return ``key: value`` in YAML, for keys that differ from the defaults."""
    keys = settings.model_dump(exclude_defaults=True)
    return [f"{key}: {value if isinstance(value, str) else json.dumps(value)}" for key, value in keys.items()]


def text(proposal: Proposal, out: Path) -> str:
    """Return the configuration of a proposal, to be written to `out`."""
    scale = proposal.scale
    low, high = proposal.reference_returns
    schema = os.path.relpath(SCHEMA, out.parent) if SCHEMA.is_file() else SCHEMA
    lines = [f"      {key}: {json.dumps(value)}" for key, value in proposal.dataset.items()]
    return TEXT.format(
        **{**vars(proposal), "dataset": "\n".join(lines)},
        schema=schema,
        out=out,
        synset=f"results/synsets/{proposal.task}/av_pbc/default/size{scale.size}/seed0/synset.npz",
        low=low,
        high=high,
        near_expert_steps=scale.near_expert_steps,
        rates=QUICK if scale.near_expert_steps < 100_000 else "",
        size=scale.size,
        steps=scale.steps,
        snapshot_every=scale.steps // 4,
        inner="\n".join(f"    {line}" for line in _keys(PROTOCOL.inner)),
        outer=", ".join(_keys(PROTOCOL.outer)),
    )


def write_configuration(proposal: Proposal, out: Path) -> None:
    """Write the configuration of a proposal.

    Raises
    ------
    UserError
        If it is none that ``obd check`` accepts (a path with a brace, say), or cannot be written.
    """
    written = text(proposal, out)
    Config.parse(read_yaml(written), str(out))
    write_text(out, written)


def summary(proposal: Proposal) -> list[str]:
    """Say in a few lines what was found, and what looks wrong."""
    low, high = proposal.reference_returns
    return [
        f"{proposal.task}: {proposal.transitions} transitions, {proposal.episodes} episodes",
        f"mean return: data {proposal.mean_return:.4g}, their best tenth {proposal.best_return:.4g}, "
        f"random actions {proposal.random_return:.4g}",
        f"score 0 is {low:.6g}, 100 is {high:.6g}: {proposal.meaning}",
        f"near-expert: {proposal.algorithm} ({proposal.reason})",
        *(f"looks wrong: {warning}" for warning in proposal.warnings),
    ]
