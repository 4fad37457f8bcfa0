"""The command line: ``obd <stage>``. A package's commands are in its command.py; this file only finds them."""

import importlib
import os
import sys
from collections.abc import Sequence

import click

from obdistill.core.errors import UserError

# name: (package, what it does); the package's command.py is imported only when the command is called
STAGES = {
    "collect": ("datasets", "Train SAC and record datasets by D4RL's protocol."),
    "dataset": ("datasets", "Bring a Minari or D4RL dataset into the project's form."),
    "near-expert": ("near_experts", "Train or import a near-expert policy and its critics."),
    "evaluate-near-expert": ("evaluations", "Evaluate a near-expert: returns, and Q against Monte-Carlo returns."),
    "select": ("synsets", "Select a synset from the states of a dataset."),
    "distill": ("synsets", "Distill a dataset into a synset."),
    "evaluate": ("evaluations", "Train policies on a synset (or a whole dataset) and record their returns."),
    "train": ("evaluations", "Train a policy, or several that act as one, on a synset and keep it."),
    "watch": ("videos", "Film policies at work, side by side."),
    "export": ("exports", "Export a synset with a card, or a policy, for other programs."),
    "zoo": ("exports", "Copy synsets of finished results into the zoo."),
    "cost": ("evaluations", "Time the training on a whole dataset and on a synset."),
    "error-curve": ("evaluations", "Hold return against imitation error: what error is enough?"),
    "synset-errors": ("evaluations", "Measure the imitation error of policies trained on synsets."),
    "gather": ("paper", "Check returns of an experiment and bring them into one table."),
    "table": ("paper", "Make a table from the gathered returns."),
    "figure-data": ("paper", "Compute what a figure is drawn from."),
    "figure": ("paper", "Draw a figure."),
    "summary": ("paper", "Write mean scores, learning curves and findings for programs."),
    "new": ("experiment", "Look at a dataset and write a configuration of an experiment with it."),
    "check": ("experiment", "Check a configuration file."),
    "schema": ("experiment", "Write the JSON schema and the table of keys of the configuration."),
}


class _Stages(click.Group):
    def list_commands(self, context: click.Context) -> list[str]:
        return list(STAGES)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in STAGES:
            return None
        commands = importlib.import_module(f"obdistill.{STAGES[name][0]}.command")
        command: click.Command = getattr(commands, name.replace("-", "_"))
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
        print(*(f"error: {line}" for line in str(error).splitlines()), sep="\n", file=sys.stderr)
        sys.exit(2)
