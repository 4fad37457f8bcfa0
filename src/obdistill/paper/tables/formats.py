"""A table as text: Markdown, and an HTML page."""

from html import escape

from obdistill.paper.description import Description
from obdistill.paper.tables.table import Cell, Heads, Rows

# for whatever has the class `paper`: a page of its own, or a part of another
STYLE = """
.paper table { border-collapse: collapse; margin: 1em auto; font: 16px/1.4 Georgia, serif; color: #111; }
.paper p, .paper ul, .paper details { max-width: 48em; margin: 1em auto; font: 14px/1.4 Georgia, serif; color: #111; }
.paper th, .paper td { padding: .35em .9em; text-align: center; font-weight: normal; border: 0; }
.paper li { margin: .3em 0; }
.paper b { font-weight: bold; }
.paper tbody th { text-align: left; }
.paper small { display: block; color: #555; }
.paper thead { border-top: 2px solid; border-bottom: 1px solid; }
.paper tbody { border-bottom: 2px solid; }
.paper details table { font-size: 14px; }
"""


def markdown(heads: Heads, rows: Rows, description: Description) -> str:
    """Render a table as Markdown (GitHub flavor) with its caption, counts and notes."""

    def text(cell: Cell) -> str:
        mean = f"**{cell.mean}**" if cell.best else cell.mean
        return "<br>".join([f"{mean} {cell.interval}".rstrip(), *cell.notes()])

    shown = [[label, *map(text, cells)] for label, cells in rows.items()]
    parts = [_markdown_table(["", *(" ".join(head).rstrip() for head in heads)], shown), description.caption]
    if beside := markdown_details(description):
        parts.append(beside)
    return "\n\n".join(parts) + "\n"


def markdown_details(description: Description) -> str:
    """Render counts and notes as a part of a Markdown page that opens on a click; empty if there are none."""
    counts = description.counts
    parts = [_markdown_table(list(counts[0]), [list(row.values()) for row in counts])] if counts else []
    parts += description.notes
    return "\n\n".join(["<details><summary>Counts and notes</summary>", *parts, "</details>"]) if parts else ""


def _markdown_table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def html(heads: Heads, rows: Rows, description: Description) -> str:
    """Render a table as an HTML page that needs no other file, with its caption, counts and notes."""
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><style>{STYLE}</style></head>'
    parts = [html_table(heads, rows), f"<p>{escape(description.caption)}</p>", html_details(description)]
    return "\n".join([head, '<body class="paper">', *filter(None, parts), "</body></html>\n"])


def html_table(heads: Heads, rows: Rows) -> str:
    """Render a table as an HTML element."""

    def text(cell: Cell) -> str:
        small = [cell.interval] if cell.interval else []
        mean = f"<b>{escape(cell.mean)}</b>" if cell.best else escape(cell.mean)
        return f"<td>{mean}{''.join(f'<small>{escape(part)}</small>' for part in [*small, *cell.notes()])}</td>"

    above = "".join(f"<th>{escape(group)}<small>{escape(name)}</small></th>" for group, name in heads)
    body = [f"<tr><th>{escape(label)}</th>{''.join(map(text, cells))}</tr>" for label, cells in rows.items()]
    return "\n".join([f"<table><thead><tr><th></th>{above}</tr></thead>", "<tbody>", *body, "</tbody></table>"])


def html_details(description: Description) -> str:
    """Render counts and notes as an HTML element that opens on a click; empty if there are none."""
    inside = []
    if description.counts:
        head, *_ = description.counts
        inside.append(f"<table><thead><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr></thead><tbody>")
        for label, *counts in (row.values() for row in description.counts):
            cells = "".join(f"<td>{escape(text)}</td>" for text in counts)
            inside.append(f"<tr><th>{escape(label)}</th>{cells}</tr>")
        inside.append("</tbody></table>")
    inside += [f"<p>{escape(note)}</p>" for note in description.notes]
    return "\n".join(["<details><summary>Counts and notes</summary>", *inside, "</details>"]) if inside else ""
