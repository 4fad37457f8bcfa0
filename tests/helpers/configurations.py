"""A small sound configuration, and what can be wrong with one."""

import copy
from typing import Any

TASK = {"dataset": {"source": "minari", "id": "mujoco/hopper/medium-v0"}, "near_expert": {"algorithm": "iql"}}
GOOD = {
    "tasks": {
        "hopper": {
            "dataset": {"source": "minari", "id": "mujoco/hopper/medium-v0"},
            "near_expert": {"algorithm": "iql", "steps": 10},
        },
        "own": {
            "dataset": {"source": "collect", "collection": "sac", "level": "medium"},
            "near_expert": {"algorithm": "td3_bc"},
        },
    },
    "collections": {"sac": {"env_id": "Hopper-v5", "levels": ["medium"]}},
    "distill": {"steps": 100},
    "whole_data": {},
    "overrides": [{"tasks": "own", "whole_data": {"policies": 3}}],
}


BRACE = "tasks.hopper.near_expert.checkpoint: '{a}.pt': holds a brace; rename the file or folder"
BAD = [
    # path to change, value, what the line says after "bad.yaml: "
    ("task", {}, "task: unknown key (did you mean 'tasks'?); allowed: collections, cost_repeats, "),
    ("tasks", {}, "tasks: {}: should have at least 1 item"),
    ("tasks", [], "tasks: []: should be a mapping"),
    (
        "tasks.hopper.data",
        {},
        "tasks.hopper.data: unknown key (did you mean 'dataset'?); allowed: dataset, ",
    ),
    ("tasks.hopper.dataset", {}, "tasks.hopper.dataset.source: missing; allowed: minari, d4rl, collect"),
    ("tasks.hopper.dataset.source", "rlds", 'tasks.hopper.dataset.source: "rlds": not known; allowed: minari, d4rl'),
    ("tasks.hopper.dataset.id", 3, "tasks.hopper.dataset.id: 3: should be text"),
    ("tasks.hopper.dataset.id", "../../x-v0", 'tasks.hopper.dataset.id: "../../x-v0": should match pattern'),
    (
        "tasks.hopper.dataset.file",
        "x",
        "tasks.hopper.dataset.file: unknown key; allowed: clip_actions, download, env_id, id, ",
    ),
    (
        "tasks.hopper.near_expert.algorithm",
        "cql",
        'tasks.hopper.near_expert.algorithm: "cql": not known; ',
    ),
    ("tasks.hopper.near_expert.expectile", 2, "tasks.hopper.near_expert.expectile: 2: should be less than 1"),
    ("tasks.hopper.near_expert.alpha", 2, "tasks.hopper.near_expert.alpha: unknown key; allowed: "),
    ("tasks.hopper.near_expert", None, "tasks.hopper.near_expert: missing; method pbc needs one"),
    ("tasks.own.dataset.collection", "ppo", "tasks.own.dataset.collection: 'ppo': no such collection; allowed: sac"),
    ("tasks.own.dataset.level", "expert", "tasks.own.dataset.level: 'expert': sac does not make it; allowed: medium"),
    ("tasks.own.dataset.level", "best", "tasks.own.dataset.level: \"best\": should be 'random', 'medium', "),
    ("collections.sac.seed", -1, "collections.sac.seed: -1: should be greater than or equal to 0"),
    ("collections.sac.env", "x", "collections.sac.env: unknown key (did you mean 'env_id'?); allowed: batch_size, "),
    ("methods", ["dbc", "sdw"], "methods[1]: \"sdw\": should be 'random', 'random_relabeled', "),
    ("methods", [], "methods: []: should have at least 1 item"),
    ("methods", ["dbc", "dbc"], "methods: 'dbc' is listed twice"),
    ("sizes", [0], "sizes[0]: 0: should be greater than or equal to 1"),
    ("sizes", 256, "sizes: 256: should be a list"),
    ("seeds", [0, 1, 0], "seeds: 0 is listed twice"),
    ("seeds", [0.5], "seeds[0]: 0.5: should be an integer"),
    ("seeds", ["0"], 'seeds[0]: "0": should be an integer'),
    ("seeds", [True], "seeds[0]: true: should be an integer"),
    ("random_seeds", [2, 2], "random_seeds: 2 is listed twice"),
    ("random_seeds", [-1], "random_seeds[0]: -1: should be greater than or equal to 0"),
    ("distill.step", 5, "distill.step: unknown key (did you mean 'steps'?); allowed: inner, outer, "),
    ("distill.steps", "many", 'distill.steps: "many": should be an integer'),
    ("distill.steps", 50, 'distill: {"steps": 50}: snapshot_every 100 is more than steps 50'),
    ("distill.outer.learning_rate", "fast", 'distill.outer.learning_rate: "fast": should be a number'),
    ("distill.outer.learning_rate", 0, "distill.outer.learning_rate: 0: should be greater than 0"),
    ("distill.outer.optimizer", "lion", "distill.outer.optimizer: \"lion\": should be 'sgd' or 'adam'"),
    ("distill.outer.clip", float("inf"), "distill.outer.clip: Infinity: should be a finite number"),
    ("distill.inner", None, "distill.inner: null: should be a mapping"),
    ("overrides", [{"tasks": "walker*", "distill": {}}], "overrides[0].tasks: 'walker*' matches no task; allowed: "),
    (
        "overrides",
        [{"tasks": ["hop*", "x"]}],
        "overrides[0].tasks: 'x' matches no task; allowed: patterns of ",
    ),
    ("overrides", [{"methods": ["bc"]}], "overrides[0].methods[0]: \"bc\": should be 'random', "),
    ("overrides", [{"distil": {}}], "overrides[0].distil: unknown key (did you mean 'distill'?); allowed: distill, "),
    ("overrides", [{}, {"distill": {"stepz": 3}}], "overrides[1].distill.stepz: unknown key (did you mean 'steps'?); "),
    (
        "overrides",
        [{"distill": {"outer": {"clip": 0}}}],
        "overrides[0].distill.outer.clip: 0: should be greater",
    ),
    ("overrides", [{"distill": {"steps": 9}}], 'overrides[0].distill: {"steps": 9}: snapshot_every 100 is more than'),
    (
        "overrides",
        [{"evaluate": {"episodes": 0}}],
        "overrides[0].evaluate.episodes: 0: should be greater",
    ),
    ("overrides", [{"whole_data": {"bc": 3}}], "overrides[0].whole_data.bc: 3: should be a mapping"),
    ("whole_data", None, "overrides[0].whole_data: has no effect; whole_data itself is null"),
    ("report.table.size", 16, "report.table.size: 16: not in sizes; allowed: 256"),
    ("report.figure.size", 16, "report.figure.size: 16: not in sizes; allowed: 256"),
    ("evaluate.bc.architecture", "mlp_9", "evaluate.bc.architecture: \"mlp_9\": should be 'mlp_2', 'mlp_2_512'"),
    ("evaluate.policies", 0, "evaluate.policies: 0: should be greater than or equal to 1"),
    ("whole_data", True, "whole_data: true: should be a mapping"),
    ("near_expert_evaluation.episodes", 0, "near_expert_evaluation.episodes: 0: should be greater than or equal to 1"),
    (
        "protocols",
        {"x": {"methods": ["sdw"]}},
        "protocols.x.methods[0]: \"sdw\": should be 'random', 'random_relabeled', ",
    ),
    ("protocols", {"x": {"methods": ["dbc", "dbc"]}}, "protocols.x.methods: 'dbc' is listed twice"),
    ("protocols", {"standard": {}}, "protocols.standard: is the project's own name for something else"),
    ("protocols", {"whole_data": {}}, "protocols.whole_data: is the project's own name for something else"),
    ("protocols", {"X": {}}, "protocols.X: is not a name; a name is lower-case words"),
    ("protocols", {"x": {"policies": 3}}, "protocols.x.policies: unknown key; allowed: evaluate, methods"),
    (
        "protocols",
        {"x": {"evaluate": {"bc": {"lr": 1}}}},
        "protocols.x.evaluate.bc.lr: unknown key; allowed: arch",
    ),
    ("protocols", {"x": {"evaluate": {"policies": 0}}}, "protocols.x.evaluate.policies: 0: should be greater than"),
    ("size_study", {}, "size_study.sizes: missing; it has no default"),
    (
        "size_study",
        {"sizes": [16], "tasks": "own", "evaluate": {"bc": 3}},
        "size_study.evaluate.bc: 3: should be",
    ),
    ("size_study", {"sizes": [16, 16]}, "size_study.sizes: 16 is listed twice"),
    ("size_study", {"sizes": [16], "tasks": "walker*"}, "size_study.tasks: 'walker*' matches no task; allowed: "),
    ("tasks.average", TASK, "tasks.average: is the name of the column over all tasks"),
    ("tasks.hopper.near_expert", {"algorithm": "import", "checkpoint": "{a}.pt"}, BRACE),
    (
        "tasks.hopper.near_expert",
        {"algorithm": "import", "checkpoint": "https://host/a.pt"},
        "tasks.hopper.near_expert.sha256: null: missing; a checkpoint from a URL needs it",
    ),
    ("tasks.hopper.dataset.root", "{a}", "tasks.hopper.dataset.root: '{a}': holds a brace; rename the file or folder"),
    (
        "tasks.hopper.dataset",
        {"source": "d4rl", "file": "a}"},
        "tasks.hopper.dataset.file: 'a}': holds a brace; rename ",
    ),
    ("variants", {"default": {"distill": {"steps": 200}}}, "variants.default: is the name of `distill` itself"),
    ("variants", {"x": {}}, "variants.x: changes nothing; write the keys of distill or evaluate that differ"),
    ("variants", {"x": {"evaluate": {"bc": {"stepz": 3}}}}, "variants.x.evaluate.bc.stepz: unknown key (did you mean"),
    ("variants", {"x": {"distill": {"stepz": 3}}}, "variants.x.distill.stepz: unknown key (did you mean 'steps'?); "),
    (
        "variants",
        {"x": {"methods": ["bc_whole"], "distill": {}}},
        'variants.x.methods[0]: "bc_whole": should',
    ),
    ("cost_repeats", 0, "cost_repeats: 0: should be greater than or equal to 1"),
    ("error_curve", {"steps": [5, 9, 9]}, 'error_curve: {"steps": [5, 9, 9]}: steps [5, 9, 9] must rise'),
    ("error_curve", {"steps": [0]}, "error_curve.steps[0]: 0: should be greater than or equal to 1"),
    ("error_curve", {"bc": {"steps": 5}}, "error_curve.bc.steps: unknown key; allowed: architecture, "),
    ("report.tables", ["table_9"], "report.tables[0]: \"table_9\": should be 'table_1'"),
    ("report.figures", ["figure_1", "figure_1"], "report.figures: 'figure_1' is listed twice"),
    ("report.table.digits", 9, "report.table.digits: 9: should be less than or equal to 4"),
    ("report.figure.dip", 9, "report.figure.dip: unknown key (did you mean 'dpi'?); allowed: bootstrap_samples, "),
]

# earlier keys and values: path, value, the whole line after "bad.yaml: "
OLD = [
    ("objectives", ["pbc"], "objectives: unknown key; it is called methods now"),
    ("synset_sizes", [64], "synset_sizes: unknown key; it is called sizes now"),
    ("card", {}, "card: unknown key; it is called near_expert_evaluation now"),
    ("evaluate.clone", {}, "evaluate.clone: unknown key; it is called bc now"),
    ("whole_data.clone", {}, "whole_data.clone: unknown key; it is called bc now"),
    ("distill.outer.average", 0.1, "distill.outer.average: unknown key; it is called averaging now"),
    ("distill.outer.damp_spikes", 2, "distill.outer.damp_spikes: unknown key; it is called adaptive_clip now"),
    (
        "distill.outer.initialisations",
        1,
        "distill.outer.initialisations: unknown key; it is called initializations now",
    ),
    ("report.table.n_pairs", 64, "report.table.n_pairs: unknown key; it is called size now"),
    ("report.figure.n_pairs", 64, "report.figure.n_pairs: unknown key; it is called size now"),
    ("report.figure.objective", "pbc", "report.figure.objective: unknown key; it is called method now"),
    ("collections.sac.hidden_sizes", [8], "collections.sac.hidden_sizes: unknown key; it is called hidden_widths now"),
    (
        "tasks.own.near_expert.actor_widths",
        [8],
        "tasks.own.near_expert.actor_widths: unknown key; it is called actor_hidden_widths now",
    ),
    (
        "tasks.own.near_expert.critic_widths",
        [8],
        "tasks.own.near_expert.critic_widths: unknown key; it is called critic_hidden_widths now",
    ),
    ("variants", {"x": {"steps": 200}}, "variants.x.steps: unknown key; it is called distill.steps now"),
    ("size_study", {"synset_sizes": [16]}, "size_study.synset_sizes: unknown key; it is called sizes now"),
    ("protocols", {"x": {"objectives": ["pbc"]}}, "protocols.x.objectives: unknown key; it is called methods now"),
    ("overrides", [{"objectives": ["pbc"]}], "overrides[0].objectives: unknown key; it is called methods now"),
    ("overrides", [{"evaluate": {"clone": {}}}], "overrides[0].evaluate.clone: unknown key; it is called bc now"),
    (
        "methods",
        ["pbc_mine"],
        'methods[0]: "pbc_mine": is not a method; a variant is written under variants now, as mine: {methods: [pbc], '
        "distill: {...}}",
    ),
]


def changed(config: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a configuration with one key, e.g. ``distill.steps``, changed."""
    config = copy.deepcopy(config)
    *parents, last = path.split(".")
    here = config
    for key in parents:
        here = here.setdefault(key, {})
    here[last] = value
    return config


def bad(path: str, value: object) -> dict[str, Any]:
    return changed(GOOD, path, value)
