"""Near-experts that are no good teachers: they score below behavior cloning on the whole dataset."""

import pandas as pd

from obdistill.paper import names
from obdistill.paper.numbers import AVERAGE


def weak_near_experts(table: pd.DataFrame) -> list[str]:
    """Say for which tasks the near-expert scores below behavior cloning on the whole dataset.

    Parameters
    ----------
    table : DataFrame
        Table 1 in long form: task, method, mean.

    Returns
    -------
    list of str
        One sentence for each such task; a task without either row has none.
    """
    means = table.pivot_table(index="task", columns="method", values="mean", sort=False)
    if not {"near_expert", "bc_whole"} <= set(means):
        return []
    return [
        f"{' '.join(names.task_label(str(task)))}: the near-expert is a weak teacher: it scores "
        f"{names.number(expert, 1)}, behavior cloning on the whole dataset {names.number(cloned, 1)}."
        for task, expert, cloned in means[["near_expert", "bc_whole"]].itertuples(name=None)
        if expert < cloned and task != AVERAGE
    ]
