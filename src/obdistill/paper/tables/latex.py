"""A table as LaTeX."""

import itertools

from obdistill.paper import names
from obdistill.paper.description import Description
from obdistill.paper.tables.table import Heads, Rows


def latex(name: str, heads: Heads, rows: Rows, description: Description) -> str:
    """Render a table as a LaTeX ``table`` (package booktabs) with its caption, and its counts below."""
    wide, long = len(heads) > 4, len(rows) > 12
    caption = description.caption
    if wide:
        short_names = {dataset: names.QUALITIES[dataset] for _, dataset in heads if dataset in names.QUALITIES}
        heads = [(environment, short_names.get(dataset, dataset)) for environment, dataset in heads]
        caption += "".join(f" {short}: {dataset}." for dataset, short in short_names.items())
    above, rules = _groups(heads)
    return "\n".join(
        [
            r"% needs \usepackage{booktabs, graphicx}" if wide else r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            rf"\caption{{{escape(caption)}}}",
            rf"\label{{tab:{name}}}",
            r"\centering",
            r"\scriptsize" if wide or long else r"\small",
            r"\setlength{\tabcolsep}{3pt}",
            (r"\resizebox{\linewidth}{!}{" if wide else "") + rf"\begin{{tabular}}{{l{'c' * len(heads)}}}",
            r"\toprule",
            " & ".join(["", *above]) + r" \\",
            " ".join(rules),
            " & ".join(["", *(escape(dataset) for _, dataset in heads)]) + r" \\",
            r"\midrule",
            ("\n" if long else "\n\\addlinespace\n").join(_body(rows)),
            r"\bottomrule",
            r"\end{tabular}" + ("}" if wide else ""),
            *_counts(description),
            r"\end{table}",
            "",
        ]
    )


def _groups(heads: Heads) -> tuple[list[str], list[str]]:
    """Write the heads of groups of columns, and the rules below them."""
    above, rules, column = [], [], 2
    for environment, group in itertools.groupby(heads, key=lambda head: head[0]):
        width = len(list(group))
        above.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(environment)}}}")
        rules += [rf"\cmidrule(lr){{{column}-{column + width - 1}}}"] if environment != "Average" else []
        column += width
    return above, rules


def _body(rows: Rows) -> list[str]:
    """Write the lines of each row."""
    body = []
    for label, cells in rows.items():
        means = [rf"\textbf{{{escape(cell.mean)}}}" if cell.best else escape(cell.mean) for cell in cells]
        lines = [[escape(label), *means]]
        below = {"": "interval", "change": "change", "paper": "paper"}
        for prefix, parts in ((prefix, [getattr(cell, part) for cell in cells]) for prefix, part in below.items()):
            if any(parts):
                lines.append([rf"\hfill {{\tiny {prefix}}}" if prefix else ""])
                lines[-1] += [rf"{{\tiny {escape(part)}}}" if part else "" for part in parts]
        body.append("\n".join(" & ".join(line) + r" \\" for line in lines))
    return body


def _counts(description: Description) -> list[str]:
    """Write the counts as a small table of their own."""
    if not description.counts:
        return []
    lines = [list(description.counts[0]), *(list(row.values()) for row in description.counts)]
    head, *body = [" & ".join(map(escape, line)) + r" \\" for line in lines]
    columns = f"l{'c' * (len(lines[0]) - 1)}"
    begin, end = rf"{{\scriptsize\begin{{tabular}}{{{columns}}}", r"\end{tabular}}"
    return [r"\par\medskip", begin, head, r"\cmidrule(lr){1-" + f"{len(lines[0])}}}", *body, end]


def escape(text: str) -> str:
    """Write text so that LaTeX shows it as it is."""
    special = {"\\": r"\textbackslash{}", "−": "$-$", "–": "--", "×": r"$\times$", " %": r"\,\%", "<": "$<$"}
    special |= {character: f"\\{character}" for character in "%&#_${}"}
    pieces = []
    while text:
        found = next((key for key in special if text.startswith(key)), None)
        pieces.append(special[found] if found else text[0])
        text = text[len(found or text[0]) :]
    return "".join(pieces)
