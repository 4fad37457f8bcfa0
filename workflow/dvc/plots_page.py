"""Write a template of `dvc plots` whose scripts are in the page: ``make plots``.

DVC's own template has the reader's browser fetch Vega from a public server. Snakemake comes with it, for its reports.
"""

import sys
from pathlib import Path

from snakemake.assets import Assets

PAGE = """<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<title>Plots</title>
{scripts}
</head>
<body>
{plot_divs}
</body>
</html>
"""  # DVC fills in what {plot_divs} stands for


def template() -> str:
    """Return the page, with the scripts in the order in which they need one another."""
    names = ("vega", "vega-lite", "vega-embed")
    scripts = (f"<script>{Assets.get_content(f'{name}/{name}.js')}</script>" for name in names)
    return PAGE.replace("{scripts}", "\n".join(scripts))


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(template(), encoding="utf-8")
