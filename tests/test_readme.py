"""The README shows what the files in the repository say."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("page", "folder"), [("README.md", "docs/results"), ("docs/recipe.md", "docs/results/recipe")])
def test_the_table_of_a_page_is_the_published_one(page, folder):
    text = (ROOT / page).read_text()
    shown = text.partition("written by docs/publish_results.py -->\n")[2].partition("<!-- end of results -->")[0]
    assert shown == (ROOT / folder / "table_1.md").read_text()
    assert "Av-PBC" in shown


@pytest.mark.parametrize(
    "page", [str(page.relative_to(ROOT)) for page in [*ROOT.glob("*.md"), *ROOT.glob("[bdr]*/*.md")]]
)
def test_links_inside_the_repository_lead_somewhere(page):
    path = ROOT / page
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []
