"""A small sound configuration, and what can be wrong with one."""

import copy

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


BAD = [
    # path to change, value, what the line says after "bad.yaml: "
    ("task", {}, "task: unknown key (did you mean 'tasks'?); allowed: card, collections, "),
    ("tasks", {}, "tasks: {}: Dictionary should have at least 1 item"),
    ("tasks", [], "tasks: []: should be an object"),
    (
        "tasks.hopper.data",
        {},
        "tasks.hopper.data: unknown key (did you mean 'dataset'?); allowed: dataset, ",
    ),
    ("tasks.hopper.dataset", {}, "tasks.hopper.dataset.source: missing; allowed: minari, d4rl, collect"),
    ("tasks.hopper.dataset.source", "rlds", 'tasks.hopper.dataset.source: "rlds": not known; allowed: minari, d4rl'),
    ("tasks.hopper.dataset.id", 3, "tasks.hopper.dataset.id: 3: should be a valid string"),
    ("tasks.hopper.dataset.id", "../../x-v0", 'tasks.hopper.dataset.id: "../../x-v0": String should match pattern'),
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
    ("tasks.hopper.near_expert", None, "tasks.hopper.near_expert: missing; objective pbc needs one"),
    ("tasks.own.dataset.collection", "ppo", "tasks.own.dataset.collection: 'ppo': no such collection; allowed: sac"),
    ("tasks.own.dataset.level", "expert", "tasks.own.dataset.level: 'expert': sac does not make it; allowed: medium"),
    ("tasks.own.dataset.level", "best", "tasks.own.dataset.level: \"best\": should be 'random', 'medium', "),
    ("collections.sac.seed", -1, "collections.sac.seed: -1: should be greater than or equal to 0"),
    ("collections.sac.env", "x", "collections.sac.env: unknown key (did you mean 'env_id'?); allowed: batch_size, "),
    ("objectives", ["dbc", "sdw"], "objectives: 'sdw' is unknown; allowed: random, dbc, pbc, av_pbc, or one of"),
    ("objectives", [], "objectives: []: Tuple should have at least 1 item"),
    ("objectives", ["dbc", "dbc"], "objectives: 'dbc' stands there twice"),
    ("synset_sizes", [0], "synset_sizes[0]: 0: should be greater than or equal to 1"),
    ("synset_sizes", 256, "synset_sizes: 256: should be a valid array"),
    ("seeds", [0, 1, 0], "seeds: 0 stands there twice"),
    ("seeds", [0.5], "seeds[0]: 0.5: should be a valid integer"),
    ("seeds", ["0"], 'seeds[0]: "0": should be a valid integer'),
    ("seeds", [True], "seeds[0]: true: should be a valid integer"),
    ("random_seeds", [2, 2], "random_seeds: 2 stands there twice"),
    ("random_seeds", [-1], "random_seeds[0]: -1: should be greater than or equal to 0"),
    ("distill.step", 5, "distill.step: unknown key (did you mean 'steps'?); allowed: inner, outer, "),
    ("distill.steps", "many", 'distill.steps: "many": should be a valid integer'),
    ("distill.steps", 50, 'distill: {"steps": 50}: snapshot_every 100 is more than steps 50'),
    (
        "distill.outer.learning_rate",
        "1e-3",
        'distill.outer.learning_rate: "1e-3": should be a valid number; to YAML',
    ),
    ("distill.outer.learning_rate", 0, "distill.outer.learning_rate: 0: should be greater than 0"),
    ("distill.outer.optimizer", "lion", "distill.outer.optimizer: \"lion\": should be 'sgd' or 'adam'"),
    ("distill.outer.clip", float("inf"), "distill.outer.clip: Infinity: should be a finite number"),
    ("distill.inner", None, "distill.inner: null: should be an object"),
    ("overrides", [{"tasks": "walker*", "distill": {}}], "overrides[0].tasks: 'walker*' matches no task; allowed: "),
    (
        "overrides",
        [{"tasks": ["hop*", "x"]}],
        "overrides[0].tasks: 'x' matches no task; allowed: patterns of ",
    ),
    ("overrides", [{"objectives": ["bc"]}], "overrides[0].objectives[0]: \"bc\": should be 'random', "),
    ("overrides", [{"distill": {}}], "overrides[0].distill: unknown key (did you mean 'distill'?); allowed: distill, "),
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
    ("overrides", [{"whole_data": {"clone": 3}}], "overrides[0].whole_data.clone: 3: should be an object"),
    ("whole_data", None, "overrides[0].whole_data: has no effect; whole_data itself is null"),
    ("synset_sizes", [16, 256], "report.table.n_pairs: null: there are several synset_sizes; allowed: 16, 256"),
    ("report.figure.n_pairs", 16, "report.figure.n_pairs: 16: not in synset_sizes; allowed: 256"),
    ("evaluate.clone.architecture", "mlp_9", "evaluate.clone.architecture: \"mlp_9\": should be 'mlp_2', 'mlp_3'"),
    ("evaluate.policies", 0, "evaluate.policies: 0: should be greater than or equal to 1"),
    ("whole_data", True, "whole_data: true: should be an object"),
    ("card.episodes", 0, "card.episodes: 0: should be greater than or equal to 1"),
    ("protocols", {"x": {"objectives": ["sdw"]}}, "protocols.x.objectives[0]: \"sdw\": should be 'random', 'dbc', "),
    ("protocols", {"x": {"objectives": ["dbc", "dbc"]}}, "protocols.x.objectives: 'dbc' stands there twice"),
    ("protocols", {"standard": {}}, "protocols.standard: is the project's own name for something else"),
    ("protocols", {"whole_data": {}}, "protocols.whole_data: is the project's own name for something else"),
    ("protocols", {"X": {}}, 'protocols.X: "X": String should match pattern'),
    ("protocols", {"x": {"policies": 3}}, "protocols.x.policies: unknown key; allowed: evaluate, objectives"),
    (
        "protocols",
        {"x": {"evaluate": {"clone": {"lr": 1}}}},
        "protocols.x.evaluate.clone.lr: unknown key; allowed: arch",
    ),
    ("protocols", {"x": {"evaluate": {"policies": 0}}}, "protocols.x.evaluate.policies: 0: should be greater than"),
    ("size_study", {}, "size_study.sizes: missing; it has no default"),
    (
        "size_study",
        {"sizes": [16], "tasks": "own", "evaluate": {"clone": 3}},
        "size_study.evaluate.clone: 3: should be",
    ),
    ("size_study", {"sizes": [16, 16]}, "size_study.sizes: 16 stands there twice"),
    ("size_study", {"sizes": [16], "tasks": "walker*"}, "size_study.tasks: 'walker*' matches no task; allowed: "),
    ("objectives", ["pbc_mine"], "objectives: 'pbc_mine': pbc has no variant 'mine'; allowed: none"),
    ("objectives", ["random_mine"], "objectives: 'random_mine': random has no variant 'mine'; allowed: none"),
    ("cost_repeats", 0, "cost_repeats: 0: should be greater than or equal to 1"),
    ("report.tables", ["table_9"], "report.tables[0]: \"table_9\": should be 'table_1'"),
    ("report.figures", ["figure_1", "figure_1"], "report.figures: 'figure_1' stands there twice"),
    ("report.table.digits", 9, "report.table.digits: 9: should be less than or equal to 4"),
    ("report.figure.dip", 9, "report.figure.dip: unknown key (did you mean 'dpi'?); allowed: bootstrap_samples, "),
]


def bad(path, value):
    config = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    here = config
    for key in parents:
        here = here.setdefault(key, {})
    here[last] = value
    return config
