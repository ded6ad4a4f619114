"""The built site in headless Chromium without a network."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

HTML = Path(__file__).resolve().parents[2] / "book" / "_build" / "html"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (HTML / "index.html").is_file(), reason="the site is not built: run `make book`"),
    pytest.mark.skipif(
        not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
        reason="Chromium is not installed",
    ),
]
PAGES = sorted(path.relative_to(HTML).as_posix() for path in HTML.rglob("*.html") if "_static" not in path.parts)
READ = [page for page in PAGES if page not in ("404.html", "genindex.html", "search.html", "index.html")]


@pytest.fixture(scope="module")
def browser():
    from tests.site.cdp import Browser

    with Browser() as page:
        yield page


@pytest.fixture
def opened(browser):
    """Open a page and return the browser; what other pages did is forgotten."""

    def open_page(name: str):
        browser.open("about:blank")  # ends what the page before was still fetching, and its complaints about that
        browser.requests.clear()
        browser.problems.clear()
        browser.open((HTML / name).as_uri())
        return browser

    return open_page


@pytest.mark.parametrize("name", READ)
def test_every_page_loads_by_itself(opened, name):
    page = opened(name)
    assert page.problems == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    broken = "[...document.images].filter(i => !i.naturalWidth).map(i => i.src)"
    assert page.evaluate(broken) == []
    missing_alt = "[...document.querySelectorAll('article img, main img')].filter(i => !i.alt).map(i => i.src)"
    assert page.evaluate(missing_alt) == []
    assert page.evaluate("document.querySelectorAll('mjx-merror, .mjx-error').length") == 0
    formulas = page.evaluate("document.querySelectorAll('span.math, div.math').length")
    assert page.evaluate("document.querySelectorAll('mjx-container').length") >= formulas


@pytest.mark.parametrize("name", READ)
def test_links_inside_the_book_lead_somewhere(name):
    text = (HTML / name).read_text(encoding="utf-8")
    for target in re.findall(r'href="([^"]+)"', text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        page = (HTML / name).parent / path.split("?")[0] if path else HTML / name
        assert page.exists(), f"{name} links to {target}"
        if anchor.startswith("claim-"):
            assert f'id="{anchor}"' in page.read_text(encoding="utf-8"), f"{name} links to {target}"


def test_formulas_are_typeset(opened):
    page = opened("02-momentum/review.html")
    assert page.evaluate("document.querySelectorAll('mjx-container[display=true]').length") >= 1
    assert page.evaluate("document.querySelector('mjx-container').getBoundingClientRect().width") > 3


def test_the_scoreboard_filters(opened):
    page = opened("scoreboard.html")
    visible = "[...document.querySelectorAll('.lr-board tbody tr')].filter(r => r.offsetParent).length"
    every = page.evaluate(visible)
    assert every == page.evaluate("document.querySelectorAll('.lr-board tbody tr').length") > 20
    choose = (
        "(() => {{ const s = document.querySelector('select[data-field={0}]'); s.value = {1!r};"
        " s.dispatchEvent(new Event('input', {{bubbles: true}})); return true; }})()"
    )
    page.evaluate(choose.format("kind", "erratum"))
    errata = page.evaluate(visible)
    assert 0 < errata < every
    page.evaluate(choose.format("verdict", "partly"))
    assert page.evaluate(visible) < errata
    page.evaluate(choose.format("kind", ""))
    page.evaluate(choose.format("verdict", ""))
    typed = (
        "(() => { const i = document.querySelector('.lr-filters input'); i.value = 'adagrad';"
        " i.dispatchEvent(new Event('input', {bubbles: true})); return true; })()"
    )
    page.evaluate(typed)
    assert 0 < page.evaluate(visible) < every
    assert page.evaluate("document.querySelector('.lr-count').textContent").endswith(f"of {every} claims")


def test_a_claim_on_the_scoreboard_leads_to_its_cell(opened):
    page = opened("scoreboard.html")
    target = page.evaluate("document.querySelector('.lr-board tbody a').href")
    page.open(target)
    anchor = target.split("#")[1]
    assert page.evaluate(f"document.getElementById({anchor!r}).innerText.length") > 20


def test_search_finds_a_chapter(opened):
    page = opened("search.html")
    page.open((HTML / "search.html").as_uri() + "?q=AdaGrad")
    # Results arrive one by one, and the book has many pages on it.
    page.wait_for("[...document.querySelectorAll('#search-results li a')].some(a => a.href.includes('02-momentum'))")


@pytest.mark.parametrize("dark", [False, True])
def test_phones_and_darkness(dark):
    from tests.site.cdp import Browser

    with Browser(width=390, height=844, dark=dark) as page:
        # Widths do not depend on the scheme: every page is measured in the dark, reviews and tables in the light too.
        for name in READ if dark else [page for page in READ if "review" in page or "/" not in page]:
            page.open((HTML / name).as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, f"{name} is wider than a phone"
            assert page.evaluate("document.documentElement.dataset.theme") == ("dark" if dark else "light")
            colours = page.evaluate(
                "(() => { const rgb = s => s.match(/[0-9.]+/g).slice(0, 3).map(Number);"
                " const light = c => { const [r, g, b] = rgb(c).map(v => { v /= 255;"
                " return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });"
                " return 0.2126 * r + 0.7152 * g + 0.0722 * b; };"
                " const p = document.querySelector('article p, main p');"
                " const style = e => getComputedStyle(e);"
                " return [light(style(p).color), light(style(document.body).backgroundColor)]; })()"
            )
            high, low = max(colours), min(colours)
            assert (high + 0.05) / (low + 0.05) > 4.5, f"{name}: too little contrast"
