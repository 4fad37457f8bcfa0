"""What the Snakefile asks Python: which jobs there are, each job's settings and the files it reads.

Snakemake reruns a job when one of its inputs or parameters changes. So that it reruns the right ones, a stage's source
files are inputs of its rule, and a job's parameter is the canonical text of the settings it uses, and of no others.
"""

import functools
import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from obdistill.core import own_modules
from obdistill.core.methods import DEFAULT, METHODS, OBJECTIVES, SELECTIONS
from obdistill.core.parsing import Problem, Refused, load_yaml, merge, read_yaml
from obdistill.datasets.settings import CollectedSettings, DatasetSettings, MinariSettings
from obdistill.evaluations.settings import CostSettings
from obdistill.experiment import outside
from obdistill.experiment.config import Config
from obdistill.experiment.settings import STANDARD
from obdistill.near_experts.settings import NearExpertSettings
from obdistill.paper.selection import FIGURE_SELECTIONS, TABLE_SELECTIONS, Selection

Job = dict[str, str | int]
DRAWING = {"columns", "dpi"}  # settings of figures that change no number


def canonical(settings: pydantic.BaseModel, exclude: Collection[str] = ()) -> str:
    """Write settings as JSON with defaults filled in and keys sorted: one text for one meaning."""
    return json.dumps(settings.model_dump(mode="json", exclude=set(exclude)), sort_keys=True, separators=(",", ":"))


def typed(value: Any) -> Any:
    """Read the texts in a value of ``snakemake --config`` as YAML does: Snakemake leaves ``[0]`` as ``["0"]``."""
    if isinstance(value, Mapping):
        return {key: typed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [typed(inner) for inner in value]
    if not isinstance(value, str):
        return value
    try:
        read = read_yaml(value)
    except ValueError:
        return value  # a pattern such as *_replay
    return read if read is None or isinstance(read, bool | int | float) else value


@dataclass(frozen=True)
class Experiment:
    """The jobs of an experiment, and what each of them uses.

    A job is a mapping of the wildcards in its paths to values. Methods that take `wildcards` take Snakemake's, an
    object with one attribute per wildcard.

    Attributes
    ----------
    config : Config
        The configuration.
    """

    config: Config

    @classmethod
    def load(cls, files: Iterable[str | Path], command_line: Mapping[str, Any] | None = None) -> "Experiment":
        """Read configuration files and check them; see `Config.parse`.

        Parameters
        ----------
        files : iterable of path
            YAML files; later ones are merged into earlier ones.
        command_line : mapping, optional
            Values of ``snakemake --config``, merged into all.
        """
        layers = {os.path.relpath(file): load_yaml(Path(os.path.relpath(file))) for file in files}
        if command_line:
            layers["--config"] = typed(command_line)
        return cls.given(functools.reduce(merge, layers.values()), ", ".join(layers))

    @classmethod
    def given(cls, data: Mapping[str, Any], source: str = "config") -> "Experiment":
        """Check a configuration that has been read already; `source` names it in messages."""
        experiment = cls(Config.parse(data, source))
        if problems := list(outside.missing(experiment.config)):
            raise Refused(source, problems)
        experiment.check_report(source)
        return experiment

    def tasks(self) -> list[Job]:
        """Return the jobs of the dataset stage."""
        return [{"task": task} for task in self.config.tasks]

    def near_experts(self) -> list[Job]:
        """Return the jobs of the near-expert stage."""
        return [{"task": name} for name, task in self.config.tasks.items() if task.near_expert is not None]

    def synsets(self) -> list[Job]:
        """Return the jobs that make synsets: distillations and selections."""
        return [
            {"task": task, "method": method, "variant": variant, "size": size, "seed": seed}
            for task in self.config.tasks
            for method in self.config.methods
            for variant in self.config.variants_of(method)
            for size in self.config.sizes_of(task, method)
            for seed in self.config.synset_seeds(method)
        ]

    def evaluations(self) -> list[Job]:
        """Return the evaluations of synsets."""
        return [
            {**job, "protocol": protocol}
            for job in self.synsets()
            for protocol in self.config.protocols_of(str(job["method"]), str(job["variant"]), int(job["size"]))
        ]

    def whole_data(self) -> list[Job]:
        """Return the evaluations of policies trained on the whole dataset."""
        return self.tasks() if self.config.whole_data is not None else []

    def costs(self) -> list[Job]:
        """Return the measurements of what training costs."""
        return self.tasks() if self.config.cost_repeats is not None else []

    def error_curves(self) -> list[Job]:
        """Return the curves of return against imitation error, and what is marked on them: one job per task."""
        return self.near_experts() if self.config.error_curve is not None else []

    def tables(self) -> list[Job]:
        """Return the tables."""
        chosen = self.config.report.tables
        shown = TABLE_SELECTIONS if chosen is None else chosen
        return [{"table": name} for name in TABLE_SELECTIONS if name in shown and self.shown_in_table(name)]

    def figures(self) -> list[Job]:
        """Return the figures."""
        chosen = self.config.report.figures
        shown = FIGURE_SELECTIONS if chosen is None else chosen
        return [{"figure": name} for name in FIGURE_SELECTIONS if name in shown and self.shown_in_figure(name)]

    def summarized_tables(self) -> list[Job]:
        """Return the tables that the summary is made from, whether or not they are chosen."""
        return [{"table": "table_1"}, {"table": "variance"}]

    def summarized_figures(self) -> list[Job]:
        """Return the figures whose numbers the summary is made from, likewise."""
        return [{"figure": "figure_1"}]

    def shown_in_table(self, name: str) -> dict[str, list[Job]]:
        """Return the files that a table is made from: jobs by rule; nothing if it has nothing to show."""
        return self._shown(TABLE_SELECTIONS[name], self.config.table_settings().size)

    def shown_in_figure(self, name: str) -> dict[str, list[Job]]:
        """Return what a figure is made from, as `shown_in_table` does."""
        return self._shown(FIGURE_SELECTIONS[name], self.config.figure_settings().size)

    def _shown(self, selection: Selection, size: int | None) -> dict[str, list[Job]]:
        match selection.reads:
            case "costs":
                shown = {"cost": self.costs()}
            case "errors":
                rules = ("error_curve", "synset_errors", "evaluate_near_expert")
                shown = dict.fromkeys(rules, self.error_curves())
            case "synsets":
                shown = {"distill": self._drawn_synsets()}
            case "returns":
                shown = {"gather": [{}]} if any(selection.keep(self._cells, size)) else {}
        return {rule: jobs for rule, jobs in shown.items() if jobs}

    def _drawn_synsets(self) -> list[Job]:
        """Return the synsets that figures draw: of one method and size, the first seed's, for every task."""
        settings = self.config.figure_settings()
        method = settings.method or self.config.methods[-1]
        size, seed = settings.size or self.config.sizes[0], self.config.synset_seeds(method)[0]
        return [{**task, "method": method, "variant": DEFAULT, "size": size, "seed": seed} for task in self.tasks()]

    def returns(self) -> dict[str, list[Job]]:
        """Return all evaluations, whose returns are gathered: jobs by rule."""
        jobs = {
            "evaluate": self.evaluations(),
            "evaluate_whole_data": self.whole_data(),
            "evaluate_near_expert": self.near_experts(),
        }
        return {rule: found for rule, found in jobs.items() if found}

    @functools.cached_property
    def _cells(self) -> list[Job]:
        """What tables and figures select: the evaluations, as their returns name them, without the seeds."""
        cells = [{**job, "seed": 0} for job in self.evaluations()]
        for method, protocol, jobs in (
            ("bc_whole", "whole_data", self.whole_data()),
            ("near_expert", "near_expert", self.near_experts()),
        ):
            about: Job = {"method": method, "variant": DEFAULT, "protocol": protocol, "size": 0, "seed": 0}
            cells += [{**job, **about} for job in jobs]
        return [dict(cell) for cell in dict.fromkeys(tuple(cell.items()) for cell in cells)]

    def check_report(self, source: str) -> None:
        """Check that every table and figure asked for has something to show.

        Raises
        ------
        UserError
            If one has not.
        """
        report = self.config.report
        problems = []
        for key, chosen, known, shown in (
            ("tables", report.tables, TABLE_SELECTIONS, self.shown_in_table),
            ("figures", report.figures, FIGURE_SELECTIONS, self.shown_in_figure),
        ):
            for name in chosen or ():
                if not shown(name):
                    allowed = ", ".join(other for other in known if shown(other))
                    problems.append(Problem(("report", key), f"{name!r} has nothing to show here; allowed: {allowed}"))
        if problems:
            raise Refused(source, problems)

    def wildcard_constraints(self) -> dict[str, str]:
        """Return what each wildcard may be, as regular expressions: the names of the configuration and nothing else."""
        names: dict[str, Collection[str]] = {
            "collection": self.config.collections,
            "task": self.config.tasks,
            "method": self.config.methods,
            "variant": [DEFAULT, *self.config.variants],
            "protocol": [STANDARD, *self.config.protocols],
            "table": TABLE_SELECTIONS,
            "figure": FIGURE_SELECTIONS,
        }
        return {key: "|".join(values) or "(?!)" for key, values in names.items()} | {"size": r"\d+", "seed": r"\d+"}

    def counts(self) -> dict[str, int]:
        """Count the jobs of each rule."""
        return {
            "collect": len({collection for task in self.config.tasks for collection in self._collections(task)}),
            "dataset": len(self.tasks()),
            "near_expert": len(self.near_experts()),
            "evaluate_near_expert": len(self.near_experts()),
            "select": sum(job["method"] in SELECTIONS for job in self.synsets()),
            "distill": sum(job["method"] in OBJECTIVES for job in self.synsets()),
            "evaluate": len(self.evaluations()),
            "evaluate_whole_data": len(self.whole_data()),
            "cost": len(self.costs()),
            "error_curve": len(self.error_curves()),
            "synset_errors": len(self.error_curves()),
            "gather": 1,
            "table": len({job["table"] for job in [*self.tables(), *self.summarized_tables()]}),
            "figure_data": len({job["figure"] for job in [*self.figures(), *self.summarized_figures()]}),
            "figure": len(self.figures()),
            "summary": 1,
        }

    # ---- what the jobs of each rule use, in the order of the data path ----

    def collect_settings(self, wildcards: Any) -> str:
        """Return a collection's settings."""
        return canonical(self.config.collections[wildcards.collection], exclude=["seed"])

    def collect_seed(self, wildcards: Any) -> int:
        """Return a collection's seed."""
        return self.config.collections[wildcards.collection].seed

    def dataset_settings(self, wildcards: Any) -> str:
        """Return the settings of a task's dataset."""
        return canonical(self.config.tasks[wildcards.task].dataset)

    def dataset_collections(self, wildcards: Any) -> list[Job]:
        """Return the collection that a task's dataset comes from, if it comes from one."""
        return [{"collection": name} for name in self._collections(wildcards.task)]

    def dataset_files(self, wildcards: Any) -> list[str]:
        """Return the files outside the results that a task's dataset is read from, unless they may be downloaded."""
        dataset = self.config.tasks[wildcards.task].dataset
        return [] if self._downloads(dataset) else list(map(str, outside.dataset_files(dataset)))

    def dataset_downloads(self, wildcards: Any) -> list[str]:
        """Return the files of a task's dataset that were downloaded, if they are there.

        They are no inputs: then a dataset would be made again after the download, because its inputs are others.
        """
        dataset = self.config.tasks[wildcards.task].dataset
        return list(map(str, outside.dataset_files(dataset))) if self._downloads(dataset) else []

    def dataset_environment(self, wildcards: Any) -> list[str]:
        """Return the source files of a task's own environment."""
        return self._environment(self.config.tasks[wildcards.task].dataset.root.env_id)

    def collect_environment(self, wildcards: Any) -> list[str]:
        """Return the source files of a collection's own environment."""
        return self._environment(self.config.collections[wildcards.collection].env_id)

    @staticmethod
    def _downloads(dataset: DatasetSettings) -> bool:
        return isinstance(dataset.root, MinariSettings) and dataset.root.download

    @staticmethod
    def _environment(env_id: str | None) -> list[str]:
        return [os.path.relpath(file) for file in own_modules.files(env_id)]

    def near_expert_settings(self, wildcards: Any) -> str:
        """Return the settings of a task's near-expert."""
        return canonical(self._near_expert(wildcards.task))

    def near_expert_files(self, wildcards: Any) -> list[str]:
        """Return the files outside the results that a task's near-expert is read from."""
        return list(map(str, outside.near_expert_files(self._near_expert(wildcards.task))))

    def near_expert_evaluation_settings(self, wildcards: Any) -> str:
        """Return the settings of a near-expert's evaluation."""
        return canonical(self.config.near_expert_evaluation)

    def needs_near_expert(self, wildcards: Any) -> bool:
        """Tell whether a synset's method needs a near-expert."""
        return METHODS[wildcards.method].needs_near_expert

    def distill_settings(self, wildcards: Any) -> str:
        """Return the settings of a distillation that its method uses."""
        settings = self.config.distill_settings(wildcards.task, wildcards.method, wildcards.variant)
        return canonical(settings, exclude=[] if METHODS[wildcards.method].uses_weighting else ["weighting"])

    def evaluate_settings(self, wildcards: Any) -> str:
        """Return the settings of the evaluation of a synset."""
        about = wildcards.task, wildcards.method, wildcards.protocol, int(wildcards.size), wildcards.variant
        return canonical(self.config.evaluate_settings(*about))

    def whole_data_settings(self, wildcards: Any) -> str:
        """Return the settings of behavior cloning on a task's whole dataset."""
        return canonical(self.config.whole_data_settings(wildcards.task))

    def cost_synset(self, wildcards: Any) -> list[Job]:
        """Return the synset whose training is timed: the first, as all cost the same."""
        method = self.config.methods[0]
        size, seed = self.config.sizes[0], self.config.synset_seeds(method)[0]
        return [{"task": wildcards.task, "method": method, "variant": DEFAULT, "size": size, "seed": seed}]

    def cost_settings(self, wildcards: Any) -> str:
        """Return the settings of a measurement of cost: the trainings of both evaluations."""
        settings = CostSettings(
            whole_data=self.config.whole_data_settings(wildcards.task).bc,
            synset=self.config.evaluate_settings(wildcards.task, self.config.methods[0]).bc,
            repeats=self.config.cost_repeats or 1,
        )
        return canonical(settings)

    def error_curve_settings(self, wildcards: Any) -> str:
        """Return the settings of a curve of return against imitation error."""
        assert self.config.error_curve is not None, "otherwise there is no such job"
        return canonical(self.config.error_curve)

    def marked_evaluations(self, wildcards: Any) -> list[Job]:
        """Return the evaluations of a task's synsets that are marked on its curve: the figure's size, all variants."""
        about = {"task": wildcards.task, "protocol": STANDARD, "size": self.config.figure_settings().size}
        return [job for job in self.evaluations() if about.items() <= job.items()]

    def table_settings(self, wildcards: Any) -> str:
        """Return the settings of a table."""
        return canonical(self.config.table_settings())

    def figure_data_settings(self, wildcards: Any) -> str:
        """Return the settings of the numbers that a figure is drawn from."""
        return canonical(self.config.figure_settings(), exclude=DRAWING)

    def figure_settings(self, wildcards: Any) -> str:
        """Return the settings of drawing a figure."""
        settings = self.config.figure_settings()
        return canonical(settings, exclude=type(settings).model_fields.keys() - DRAWING)

    def _collections(self, task: str) -> list[str]:
        match self.config.tasks[task].dataset.root:
            case CollectedSettings(collection=collection):
                return [collection]
        return []

    def _near_expert(self, task: str) -> NearExpertSettings:
        near_expert = self.config.tasks[task].near_expert
        assert near_expert is not None, "only tasks with a near-expert have these jobs"
        return near_expert
