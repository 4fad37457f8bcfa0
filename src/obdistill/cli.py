"""The command line: ``obd <stage>``. Each stage's command lives beside its function; this file only finds it."""

import importlib
import os
import sys
from collections.abc import Sequence

import click

from obdistill.core.errors import UserError

# name: (module, what it does); the module's `command` is imported only when it is called
STAGES = {
    "collect": ("obdistill.datasets.collect", "Train SAC and record datasets by D4RL's protocol."),
    "dataset": ("obdistill.datasets.stage", "Bring a Minari or D4RL dataset into the project's form."),
    "near-expert": ("obdistill.near_experts.stage", "Train or import a near-expert policy and its critics."),
    "evaluate-near-expert": (
        "obdistill.evaluations.near_expert",
        "Evaluate a near-expert: returns, and Q against Monte-Carlo returns.",
    ),
    "distill": ("obdistill.synsets.stage", "Distill a dataset into a synset, or select a random one."),
    "evaluate": (
        "obdistill.evaluations.stage",
        "Train policies on a synset (or a whole dataset) and record their returns.",
    ),
    "cost": ("obdistill.evaluations.cost", "Time the training on a whole dataset and on a synset."),
    "table": ("obdistill.paper.tables.score_tables", "Make a table from evaluation files."),
    "figure": ("obdistill.paper.figures.figures", "Make a figure from evaluation files."),
    "summary": ("obdistill.paper.summary", "Write mean scores and learning curves for programs."),
    "check": ("obdistill.experiment.workflow", "Check a configuration file."),
}


class _Stages(click.Group):
    def list_commands(self, context: click.Context) -> list[str]:
        return list(STAGES)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in STAGES:
            return None
        command: click.Command = importlib.import_module(STAGES[name][0]).command
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Stages"):
            formatter.write_dl([(name, text) for name, (_, text) in STAGES.items()])


@click.command(cls=_Stages, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="obdistill")
def obd() -> None:
    """Offline behavior distillation: dataset -> near-expert -> synset -> evaluation -> tables and figures.

    Every stage reads files and writes files; the Snakefile calls these same commands.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a wrong option or a `UserError` ends it with one line and status 2."""
    os.environ.pop("MPLBACKEND", None)  # a notebook's; matplotlib does not start with one that is not installed
    try:
        sys.exit(obd(arguments, prog_name="obd", standalone_mode=False))
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "obd"
        print(f"error: {command}: {' '.join(error.format_message().split())} (see {command} --help)", file=sys.stderr)
        sys.exit(2)
    except click.Abort:  # Ctrl-C
        print("error: interrupted", file=sys.stderr)
        sys.exit(130)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
