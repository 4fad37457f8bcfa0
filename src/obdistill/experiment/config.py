"""The configuration of an experiment: what config.yaml may hold, and whether it fits together.

Each stage declares its own settings beside its function; here they are put together with the grid (tasks, methods,
sizes, seeds), and everything is checked before the first job starts.
"""

import fnmatch
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, StringConstraints

from obdistill.core.errors import UserError
from obdistill.core.methods import DEFAULT, METHODS, OBJECTIVES, SYNSET_METHODS
from obdistill.core.settings import NAME, Settings, merge, parse
from obdistill.datasets.collect import CollectSettings
from obdistill.datasets.collected import CollectedSettings
from obdistill.datasets.d4rl import BUILT_IN, D4rlSettings
from obdistill.datasets.stage import DatasetSettings
from obdistill.evaluations.near_expert import NearExpertEvaluationSettings
from obdistill.evaluations.stage import EvaluateSettings
from obdistill.near_experts.stage import NearExpertSettings
from obdistill.paper.settings import FigureName, FigureSettings, TableName, TableSettings
from obdistill.synsets.stage import RANDOM, DistillSettings

Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
Seed = Annotated[int, Field(ge=0)]
Method = Literal[SYNSET_METHODS]  # type: ignore[valid-type]
Objective = Literal[OBJECTIVES]  # type: ignore[valid-type]
Size = Annotated[int, Field(ge=1)]
STANDARD = "standard"  # the protocol that is `evaluate` itself
RESERVED = {STANDARD, "whole_data", "near_expert"}  # protocols of the returns that are none of synsets' further ones
S = TypeVar("S", bound=Settings)


class TaskSettings(Settings):
    """A task: a dataset and the near-expert made from it."""

    dataset: DatasetSettings = Field(description="where the transitions come from")
    near_expert: NearExpertSettings | None = Field(
        None, description="policy and critics made from the dataset; null: none, then only methods without one"
    )


class CollectionSettings(CollectSettings):
    """A collection of datasets that the project makes itself."""

    seed: Seed = Field(0, description="root seed of the collection")


class TaskPatterns(Settings):
    """Some of the tasks."""

    tasks: str | tuple[str, ...] = Field("*", description="names or glob patterns of tasks, e.g. hopper_*")

    def patterns(self) -> list[str]:
        """Return the patterns of tasks."""
        return [self.tasks] if isinstance(self.tasks, str) else list(self.tasks)

    def covers_task(self, task: str) -> bool:
        """Tell whether a task is among them."""
        return any(fnmatch.fnmatchcase(task, pattern) for pattern in self.patterns())


class Override(TaskPatterns):
    """Other settings for some tasks and methods."""

    methods: tuple[Method, ...] = Field(
        SYNSET_METHODS, min_length=1, description="methods; all if left out (no matter for whole_data)"
    )
    distill: dict[str, Any] = Field({}, description="keys of distill that differ")
    evaluate: dict[str, Any] = Field({}, description="keys of evaluate that differ")
    whole_data: dict[str, Any] = Field({}, description="keys of whole_data that differ")

    def covers(self, task: str, method: str | None) -> bool:
        """Tell whether it applies to a task and a method (None: to the whole data)."""
        return self.covers_task(task) and (method is None or method in self.methods)


class ProtocolSettings(Settings):
    """Another way to evaluate synsets."""

    methods: tuple[Method, ...] = Field(
        OBJECTIVES, min_length=1, description="methods whose synsets it is for; all but random if left out"
    )
    evaluate: dict[str, Any] = Field({}, description="keys of evaluate that differ")


class VariantSettings(Settings):
    """Other settings of distillation, compared with those of `distill`."""

    methods: tuple[Objective, ...] = Field(OBJECTIVES, min_length=1, description="methods that have this variant")
    distill: dict[str, Any] = Field(min_length=1, description="keys of distill that differ")


class SizeStudy(TaskPatterns):
    """Synsets of further sizes for some tasks and methods."""

    sizes: tuple[Size, ...] = Field(min_length=1, description="numbers of pairs, beside sizes")
    methods: tuple[Method, ...] = Field(("av_pbc",), min_length=1, description="methods")
    evaluate: dict[str, Any] = Field({}, description="keys of evaluate that differ at these sizes")


class ReportSettings(Settings):
    """Tables and figures."""

    tables: tuple[TableName, ...] | None = Field(
        None, description="tables to make; null: all that have something to show"
    )
    figures: tuple[FigureName, ...] | None = Field(
        None, description="figures to make; null: all that have something to show"
    )
    table: TableSettings = Field(TableSettings(), description="how to make tables")
    figure: FigureSettings = Field(FigureSettings(), description="how to make figures")


class Config(Settings):
    """A whole experiment."""

    tasks: dict[Name, TaskSettings] = Field(min_length=1, description="name of a task -> its dataset and near-expert")
    collections: dict[Name, CollectionSettings] = Field(
        {}, description="name -> what to collect; tasks take their data from it with `source: collect`"
    )
    methods: tuple[Method, ...] = Field(
        SYNSET_METHODS, min_length=1, description="ways to make a synset, the rows of Table 1"
    )
    variants: dict[Name, VariantSettings] = Field(
        {}, description="name -> other settings of distill, each for some methods, beside `default`: `distill` itself"
    )
    sizes: tuple[Size, ...] = Field((256,), min_length=1, description="numbers of pairs of a synset")
    size_study: SizeStudy | None = Field(
        None, description="further sizes for some tasks and methods, the rows of Table 5; null: none"
    )
    seeds: tuple[Seed, ...] = Field((0, 1, 2), min_length=1, description="distillation seeds")
    random_seeds: tuple[Seed, ...] | None = Field(
        None, min_length=1, description="seeds of the random baseline; null: those of the distillations"
    )
    distill: DistillSettings = Field(DistillSettings(), description="distillation")
    evaluate: EvaluateSettings = Field(EvaluateSettings(), description="evaluation of synsets")
    protocols: dict[Name, ProtocolSettings] = Field(
        {}, description="name -> another way to evaluate synsets, beside `standard`, which is `evaluate` itself"
    )
    overrides: tuple[Override, ...] = Field((), description="other settings for some tasks and methods; last wins")
    whole_data: EvaluateSettings | None = Field(
        None, description="behavior cloning on the whole dataset, the row `BC (whole)`; null: no such row"
    )
    cost_repeats: int | None = Field(
        None, ge=1, description="timed trainings on a synset, against one on the whole data (Table 4); null: no Table 4"
    )
    near_expert_evaluation: NearExpertEvaluationSettings = Field(
        NearExpertEvaluationSettings(), description="evaluation of the near-experts"
    )
    report: ReportSettings = Field(ReportSettings(), description="tables and figures")

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
            One line: source, path of the key, its value, and what is allowed.
        """
        config = parse(cls, data, source)
        for misfit in _misfits(config):
            raise UserError(f"{source}: {misfit}")
        for task in config.tasks:
            for method in SYNSET_METHODS:
                for variant in config.variants_of(method):
                    config.distill_settings(task, method, variant, source)
                for protocol in (STANDARD, *config.protocols):
                    config.evaluate_settings(task, method, protocol, None, source)
                for size in config.sizes_of(task, method):
                    config.evaluate_settings(task, method, STANDARD, size, source)
            config.whole_data_settings(task, source)
        return config

    def distill_settings(
        self, task: str, method: str, variant: str = DEFAULT, source: str = "config"
    ) -> DistillSettings:
        """Return the distillation settings of a task, a method and a variant.

        They are `distill`, over it the overrides in their order, and over these the variant.

        Raises
        ------
        UserError
            If an override or a variant holds an unknown key or an impossible value.
        """
        settings = self._overridden(self.distill, "distill", task, method, source)
        if variant == DEFAULT:
            return settings
        return _laid_over(settings, self.variants[variant].distill, source, f"variants.{variant}.distill")

    def variants_of(self, method: str) -> list[str]:
        """Return the variants of a method, the default first."""
        return [DEFAULT, *(name for name, variant in self.variants.items() if method in variant.methods)]

    def evaluate_settings(
        self, task: str, method: str, protocol: str = STANDARD, size: int | None = None, source: str = "config"
    ) -> EvaluateSettings:
        """Return the settings of the evaluation of synsets, as `distill_settings` does.

        Over these are laid those of the protocol, or of the size study if the size (None: the main one) is one of its.
        """
        settings = self._overridden(self.evaluate, "evaluate", task, method, source)
        if self.size_study is not None and size is not None and size not in self.sizes:
            return _laid_over(settings, self.size_study.evaluate, source, "size_study.evaluate")
        if protocol == STANDARD:
            return settings
        return _laid_over(settings, self.protocols[protocol].evaluate, source, f"protocols.{protocol}.evaluate")

    def whole_data_settings(self, task: str, source: str = "config") -> EvaluateSettings:
        """Return the settings of behavior cloning on a task's whole dataset, as `distill_settings` does."""
        return self._overridden(self.whole_data or EvaluateSettings(), "whole_data", task, None, source)

    def _overridden(self, settings: S, key: str, task: str, method: str | None, source: str) -> S:
        for index, override in enumerate(self.overrides):
            if override.covers(task, method) and (update := getattr(override, key)):
                settings = _laid_over(settings, update, source, f"overrides[{index}].{key}")
        return settings

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
        return self.random_seeds if method == RANDOM and self.random_seeds is not None else self.seeds

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


def _laid_over(settings: S, update: Mapping[str, Any], source: str, at: str) -> S:
    return parse(type(settings), merge(settings.model_dump(mode="json", exclude_unset=True), update), source, at)


def _misfits(config: Config) -> Iterator[str]:
    """Find what each part allows but the whole does not; one line each."""
    lists = {name: getattr(config, name) for name in ("methods", "sizes", "seeds", "random_seeds")}
    lists |= {f"report.{name}": getattr(config.report, name) for name in ("tables", "figures")}
    lists |= {f"protocols.{name}.methods": protocol.methods for name, protocol in config.protocols.items()}
    lists |= {f"variants.{name}.methods": variant.methods for name, variant in config.variants.items()}
    if config.size_study is not None:
        lists |= {f"size_study.{name}": getattr(config.size_study, name) for name in ("sizes", "methods")}
    for name, values in lists.items():
        twice = [value for value in values or () if values.count(value) > 1]
        if twice:
            yield f"{name}: {twice[0]!r} stands there twice; name each value once"
    for name, variant in config.variants.items():
        for method in variant.methods:
            if method not in config.methods:
                methods = ", ".join(config.methods)
                yield f"variants.{name}.methods: {method!r}: not in methods; allowed: {methods}"
    if DEFAULT in config.variants:
        yield f"variants.{DEFAULT}: is the name of `distill` itself; choose another name"
    for name, task in config.tasks.items():
        match task.dataset.root:
            case CollectedSettings(collection=collection, level=level):
                if collection not in config.collections:
                    names = ", ".join(config.collections) or "none, `collections` is empty"
                    yield f"tasks.{name}.dataset.collection: {collection!r}: no such collection; allowed: {names}"
                elif level not in config.collections[collection].levels:
                    levels = ", ".join(config.collections[collection].levels)
                    yield f"tasks.{name}.dataset.level: {level!r}: {collection} does not make it; allowed: {levels}"
        needy = [method for method in config.methods if METHODS[method].needs_near_expert]
        if needy and task.near_expert is None:
            yield f"tasks.{name}.near_expert: missing; method {needy[0]} needs one (or take it out of methods)"
    sizes = ", ".join(map(str, config.sizes))
    for name in ("table", "figure"):
        size = getattr(config.report, name).size
        if size is None and len(config.sizes) > 1:
            yield f"report.{name}.size: null: there are several sizes; allowed: {sizes}"
        if size is not None and size not in config.sizes:
            yield f"report.{name}.size: {size}: not in sizes; allowed: {sizes}"
    drawn = config.report.figure.method
    if drawn is not None and drawn not in config.methods:
        yield f"report.figure.method: {drawn!r}: not in methods; allowed: {', '.join(config.methods)}"
    for name in sorted(RESERVED & config.protocols.keys()):
        yield f"protocols.{name}: is the project's own name for something else; choose another name"
    if config.cost_repeats is not None and config.whole_data is None:
        yield f"cost_repeats: {config.cost_repeats}: there is nothing to compare with; whole_data is null"
    for index, override in enumerate(config.overrides):
        if override.whole_data and config.whole_data is None:
            yield f"overrides[{index}].whole_data: has no effect; whole_data itself is null"
    choices: dict[str, TaskPatterns] = {f"overrides[{i}]": override for i, override in enumerate(config.overrides)}
    if config.size_study is not None:
        choices["size_study"] = config.size_study
    for name, choice in choices.items():
        for pattern in choice.patterns():
            if not fnmatch.filter(config.tasks, pattern):
                tasks = ", ".join(config.tasks)
                yield f"{name}.tasks: {pattern!r} matches no task; allowed: patterns of {tasks}"
