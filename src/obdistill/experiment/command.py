"""The commands ``obd check`` and ``obd schema``."""

from pathlib import Path

import click

from obdistill.experiment.jobs import Experiment


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
