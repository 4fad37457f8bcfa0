"""The commands ``obd new``, ``obd check`` and ``obd schema``."""

from pathlib import Path

import click

from obdistill.core import logs
from obdistill.core.atomic import check_writable
from obdistill.core.errors import UserError
from obdistill.experiment.jobs import Experiment


@click.command("new", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("data")
@click.option("--env-id", metavar="ID", help="Gymnasium id of the environment (default: the one that the data name).")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default="config.yaml",
    show_default=True,
    help="Configuration to write.",
)
@click.option("--task", metavar="NAME", help="Name of the task (default: made of DATA).")
@click.option(
    "--reference-returns",
    "reference",
    type=(float, float),
    metavar="RANDOM EXPERT",
    help="Returns that score 0 and 100 (default: D4RL's or the data's, else measured).",
)
@click.option("--clip-actions", is_flag=True, help="Cut actions to the environment's bounds.")
@click.option(
    "--episodes", type=click.IntRange(min=1), default=20, show_default=True, help="Episodes of the random policy."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the random policy.")
@click.option("--force", is_flag=True, help="Overwrite the file if it is there.")
def new(
    data: str,
    env_id: str | None,
    out: Path,
    task: str | None,
    reference: tuple[float, float] | None,
    clip_actions: bool,
    episodes: int,
    seed: int,
    force: bool,
) -> None:
    """Look at DATA and write a configuration of an experiment with it.

    DATA is a Minari id or folder, D4RL's name of a set or HDF5 file, an .npz or .parquet file of arrays, a file of
    OGBench's, or a folder of LeRobot's.
    """
    from obdistill.experiment import new as look  # here: `check` starts faster without
    from obdistill.experiment import new_text

    if out.exists() and not force:
        raise UserError(f"{out}: is there already; choose another --out, or --force to overwrite it")
    check_writable(out)
    logs.set_up("new")  # downloads take long
    proposal = look.propose(data, env_id, task, reference, clip_actions, episodes, seed)
    new_text.write_configuration(proposal, out)
    click.echo("\n".join([*new_text.summary(proposal), f"wrote {out}; next: make run CONFIG={out}"]))


@click.command("check", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False), nargs=-1)
def check(config: tuple[Path, ...]) -> None:
    """Check a configuration (default: config.yaml; later files are merged into earlier ones) and count its jobs."""
    config = config or (Path("config.yaml"),)
    counts = Experiment.load(config).counts()
    jobs = ", ".join(f"{rule} {count}" for rule, count in counts.items() if count)
    click.echo(f"OK: {', '.join(map(str, config))}: {sum(counts.values())} jobs: {jobs}")


@click.command("schema", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default="config")
def schema(folder: Path) -> None:
    """Write schema.json and the table of keys of README.md in FOLDER (default: config) from the settings classes."""
    from obdistill.experiment.schema import write_schema  # here: `check` starts faster without

    click.echo(f"wrote {', '.join(map(str, write_schema(folder)))}")
