"""The configuration of an experiment, and each job's settings: overrides, variants and protocols merged in."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from obdistill.core.methods import DEFAULT, SYNSET_METHODS
from obdistill.core.parsing import Keys, Problem, Refused, check, merge, parse
from obdistill.core.settings import Settings
from obdistill.datasets.d4rl_facts import BUILT_IN
from obdistill.datasets.settings import D4rlSettings
from obdistill.evaluations.settings import EvaluateSettings
from obdistill.experiment.checks import misfits
from obdistill.experiment.settings import STANDARD, ExperimentSettings
from obdistill.paper.settings import FigureSettings, TableSettings
from obdistill.synsets.settings import DistillSettings

S = TypeVar("S", bound=Settings)
Layer = tuple[Keys, Mapping[str, Any]]  # where in the configuration, and the keys that differ


class Config(ExperimentSettings):
    """A whole experiment, and what each of its jobs uses."""

    @classmethod
    def parse(cls, data: Mapping[str, Any], source: str) -> "Config":
        """Build a configuration from plain data and check that its parts fit together.

        Parameters
        ----------
        data : mapping
            As YAML gives it.
        source : str
            Where it comes from, for messages.

        Raises
        ------
        UserError
            With one line for each problem: source, path of the key, its value, and what is allowed.
        """
        config, problems = check(cls, data)
        unsound = {str(key) for problem in problems for key in problem.keys[:1]}
        unsound |= {problem.meant for problem in problems if len(problem.keys) == 1}
        if config is None:  # defaults instead of what was refused, to find what is wrong beside it
            config, _ = check(cls, {key: value for key, value in data.items() if key not in unsound})
        if config is not None:
            problems += [*misfits(config, unsound), *config._refused_layers(unsound)]
        if config is None or problems:
            raise Refused(source, problems)
        return config

    def variants_of(self, method: str) -> list[str]:
        """Return the variants of a method, the default first."""
        return [DEFAULT, *(name for name, variant in self.variants.items() if method in variant.methods)]

    def sizes_of(self, task: str, method: str) -> tuple[int, ...]:
        """Return the synset sizes of a task and a method, those of the size study last."""
        study = self.size_study
        more = study.sizes if study and study.covers_task(task) and method in study.methods else ()
        return tuple(dict.fromkeys([*self.sizes, *more]))

    def protocols_of(self, method: str, variant: str, size: int) -> list[str]:
        """Return the protocols by which synsets are evaluated; variants and the size study have one only."""
        others = [name for name, protocol in self.protocols.items() if method in protocol.methods]
        return [STANDARD, *(others if size in self.sizes and variant == DEFAULT else [])]

    def synset_seeds(self, method: str) -> tuple[int, ...]:
        """Return the seeds of a method."""
        return self.random_seeds if method == "random" and self.random_seeds is not None else self.seeds

    # ---- the settings of jobs ----

    def distill_settings(self, task: str, method: str, variant: str = DEFAULT) -> DistillSettings:
        """Return the distillation settings: `distill`, into it the overrides in their order, then the variant."""
        return _merged(self.distill, self._distill_layers(task, method, variant))

    def evaluate_settings(
        self, task: str, method: str, protocol: str = STANDARD, size: int | None = None, variant: str = DEFAULT
    ) -> EvaluateSettings:
        """Return the settings of the evaluation of synsets: `evaluate`, into it the overrides and then the variant.

        Then those of the protocol are merged in, or of the size study if the size (None: the main one) is one of its.
        """
        return _merged(self.evaluate, self._evaluate_layers(task, method, protocol, size, variant))

    def whole_data_settings(self, task: str) -> EvaluateSettings:
        """Return the settings of behavior cloning on a task's whole dataset: `whole_data`, into it the overrides."""
        return _merged(self.whole_data or EvaluateSettings(), self._overrides("whole_data", task, None))

    def table_settings(self) -> TableSettings:
        """Return the settings of tables; tasks on the paper's datasets get the paper's numbers beside ours."""
        datasets = {name: task.dataset.root for name, task in self.tasks.items()}
        paper = {
            name: dataset.file.removesuffix("-v2")
            for name, dataset in datasets.items()
            if isinstance(dataset, D4rlSettings) and dataset.file in BUILT_IN
        }
        chosen = self.report.table
        return chosen.model_copy(
            update={"paper_datasets": paper | chosen.paper_datasets, "size": self._main_size(chosen.size)}
        )

    def figure_settings(self) -> FigureSettings:
        """Return the settings of figures."""
        chosen = self.report.figure
        return chosen.model_copy(update={"size": self._main_size(chosen.size)})

    def _main_size(self, size: int | None) -> int:
        return self.sizes[0] if size is None else size  # null is allowed only where there is one

    # ---- layers ----

    def _overrides(self, key: str, task: str, method: str | None) -> Iterator[Layer]:
        for index, override in enumerate(self.overrides):
            if override.covers(task, method) and (update := getattr(override, key)):
                yield ("overrides", index, key), update

    def _distill_layers(self, task: str, method: str, variant: str) -> Iterator[Layer]:
        yield from self._overrides("distill", task, method)
        if variant != DEFAULT:
            yield ("variants", variant, "distill"), self.variants[variant].distill

    def _evaluate_layers(
        self, task: str, method: str, protocol: str, size: int | None, variant: str
    ) -> Iterator[Layer]:
        yield from self._overrides("evaluate", task, method)
        if variant != DEFAULT:
            yield ("variants", variant, "evaluate"), self.variants[variant].evaluate
        if self.size_study is not None and size is not None and size not in self.sizes:
            yield ("size_study", "evaluate"), self.size_study.evaluate
        elif protocol != STANDARD:
            yield ("protocols", protocol, "evaluate"), self.protocols[protocol].evaluate

    def _refused_layers(self, unsound: set[str]) -> list[Problem]:
        """Merge every layer into whatever it may meet; return the problems, except with settings that are unsound."""
        refused: list[Problem] = []
        for task in self.tasks:
            for method in SYNSET_METHODS:
                if "distill" not in unsound:
                    for variant in self.variants_of(method):
                        _merged(self.distill, self._distill_layers(task, method, variant), refused)
                if "evaluate" not in unsound:
                    cells: list[tuple[str, int | None, str]]
                    cells = [(protocol, None, DEFAULT) for protocol in (STANDARD, *self.protocols)]
                    cells += [
                        (STANDARD, size, variant)
                        for variant in self.variants_of(method)
                        for size in self.sizes_of(task, method)
                    ]
                    for protocol, size, variant in cells:
                        _merged(self.evaluate, self._evaluate_layers(task, method, protocol, size, variant), refused)
            if "whole_data" not in unsound:
                _merged(self.whole_data or EvaluateSettings(), self._overrides("whole_data", task, None), refused)
        return refused


def _merged(settings: S, layers: Iterator[Layer], refused: list[Problem] | None = None) -> S:
    """Merge layers into settings; one that does not fit raises, or its problems are added to `refused`."""
    for at, update in layers:
        merged = merge(settings.model_dump(mode="json", exclude_unset=True), update)
        try:
            settings = parse(type(settings), merged, "configuration", at)
        except Refused as error:
            if refused is None:
                raise
            refused += error.problems
    return settings
