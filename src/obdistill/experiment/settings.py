"""What a configuration may hold: the grid of an experiment, and the settings of each stage."""

import fnmatch
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, StringConstraints

from obdistill.core.methods import METHODS, OBJECTIVES, PAPER_METHODS, SYNSET_METHODS
from obdistill.core.settings import NAME, ChangesOf, OneOf, Settings
from obdistill.datasets.settings import CollectSettings, DatasetSettings
from obdistill.evaluations.settings import ErrorCurveSettings, EvaluateSettings, NearExpertEvaluationSettings
from obdistill.near_experts.settings import NearExpertSettings
from obdistill.paper.settings import FigureName, FigureSettings, TableName, TableSettings
from obdistill.synsets.settings import DistillSettings

STANDARD = "standard"  # the protocol that is `evaluate` itself
MAIN_METHOD = "av_pbc"  # the paper's, of the size study


def _no_variant(value: Any) -> Any:
    """Refuse a method and a variant in one name, as earlier versions wrote them."""
    if isinstance(value, str) and value not in METHODS:
        for method in sorted(METHODS, key=len, reverse=True):
            if value.startswith(f"{method}_"):
                name = value.removeprefix(f"{method}_")
                raise ValueError(
                    f"is not a method; a variant is written under variants now, as {name}: {{methods: [{method}], "
                    "distill: {...}}"
                )
    return value


Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$", max_length=100)]
Seed = Annotated[int, Field(ge=0)]
Size = Annotated[int, Field(ge=1)]
Method = Annotated[str, OneOf(SYNSET_METHODS), BeforeValidator(_no_variant)]
Objective = Annotated[str, OneOf(OBJECTIVES), BeforeValidator(_no_variant)]
DistillChanges = Annotated[dict[str, Any], ChangesOf(DistillSettings)]
EvaluateChanges = Annotated[dict[str, Any], ChangesOf(EvaluateSettings)]


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
        """Return whether a task is among them."""
        return any(fnmatch.fnmatchcase(task, pattern) for pattern in self.patterns())


class Override(TaskPatterns):
    """Other settings for some tasks and methods."""

    renamed: ClassVar = {"objectives": "methods"}

    methods: tuple[Method, ...] = Field(
        SYNSET_METHODS, min_length=1, description="methods whose synsets it is for (whole_data has none)"
    )
    distill: DistillChanges = Field({}, description="keys of distill that differ")
    evaluate: EvaluateChanges = Field({}, description="keys of evaluate that differ")
    whole_data: EvaluateChanges = Field({}, description="keys of whole_data that differ")

    def covers(self, task: str, method: str | None) -> bool:
        """Return whether it applies to a task and a method (None: to the whole data)."""
        return self.covers_task(task) and (method is None or method in self.methods)


class ProtocolSettings(Settings):
    """Another way to evaluate synsets."""

    renamed: ClassVar = {"objectives": "methods"}

    methods: tuple[Method, ...] = Field(OBJECTIVES, min_length=1, description="methods whose synsets it is for")
    evaluate: EvaluateChanges = Field({}, description="keys of evaluate that differ")


class VariantSettings(Settings):
    """Other settings of distillation or evaluation, compared with those of `distill` and `evaluate`."""

    renamed: ClassVar = {"objectives": "methods"} | {name: f"distill.{name}" for name in DistillSettings.model_fields}

    methods: tuple[Method, ...] = Field(
        tuple(name for name in PAPER_METHODS if name in OBJECTIVES),
        min_length=1,
        description="methods that have this variant",
    )
    distill: DistillChanges = Field({}, description="keys of distill that differ; selections use none of them")
    evaluate: EvaluateChanges = Field({}, description="keys of evaluate that differ")


class SizeStudy(TaskPatterns):
    """Synsets of further sizes for some tasks and methods."""

    renamed: ClassVar = {"objectives": "methods", "synset_sizes": "sizes"}

    sizes: tuple[Size, ...] = Field(min_length=1, description="numbers of pairs, beside sizes")
    methods: tuple[Method, ...] = Field((MAIN_METHOD,), min_length=1, description="methods that have these sizes")
    evaluate: EvaluateChanges = Field({}, description="keys of evaluate that differ at these sizes")


class ReportSettings(Settings):
    """Tables and figures."""

    tables: tuple[TableName, ...] | None = Field(
        None, description="tables to make; null: all that have something to show"
    )
    figures: tuple[FigureName, ...] | None = Field(
        None, description="figures to make; null: all that have something to show"
    )
    table: TableSettings = Field(TableSettings(), description="numbers and form of tables")
    figure: FigureSettings = Field(FigureSettings(), description="numbers and form of figures")


class ExperimentSettings(Settings):
    """A whole experiment."""

    renamed: ClassVar = {"objectives": "methods", "synset_sizes": "sizes", "card": "near_expert_evaluation"}

    tasks: dict[Name, TaskSettings] = Field(min_length=1, description="name of a task -> its dataset and near-expert")
    collections: dict[Name, CollectionSettings] = Field(
        {}, description="name -> datasets to collect; tasks take their data from it with source: collect"
    )
    methods: tuple[Method, ...] = Field(
        PAPER_METHODS, min_length=1, description="ways to make a synset, the rows of Table 1"
    )
    variants: dict[Name, VariantSettings] = Field(
        {}, description="name -> other settings for some methods, compared with distill and evaluate themselves"
    )
    sizes: tuple[Size, ...] = Field((256,), min_length=1, description="numbers of pairs of a synset")
    size_study: SizeStudy | None = Field(
        None, description="further sizes for some tasks and methods, the rows of Table 5; null: none"
    )
    seeds: tuple[Seed, ...] = Field((0, 1, 2), min_length=1, description="seeds of the distillations")
    random_seeds: tuple[Seed, ...] | None = Field(
        None, min_length=1, description="seeds of the random selection; null: those of the distillations"
    )
    distill: DistillSettings = Field(DistillSettings(), description="distillation")
    evaluate: EvaluateSettings = Field(EvaluateSettings(), description="evaluation of synsets")
    protocols: dict[Name, ProtocolSettings] = Field(
        {}, description="name -> another way to evaluate synsets, beside standard, which is evaluate itself"
    )
    overrides: tuple[Override, ...] = Field((), description="other settings for some tasks and methods; the last wins")
    whole_data: EvaluateSettings | None = Field(
        None, description="behavior cloning on the whole dataset, the row BC (whole); null: no such row"
    )
    cost_repeats: int | None = Field(
        None, ge=1, description="timed trainings on a synset, against one on the whole data (Table 4); null: no Table 4"
    )
    error_curve: ErrorCurveSettings | None = Field(
        None,
        description="return against imitation error for every near-expert (figure error_curve); null: no such jobs",
    )
    near_expert_evaluation: NearExpertEvaluationSettings = Field(
        NearExpertEvaluationSettings(), description="evaluation of the near-experts, the row OffRL (whole)"
    )
    report: ReportSettings = Field(ReportSettings(), description="tables and figures")
