"""The explorer of the page by hand, in a real browser: found, opened, walked through by keyboard, at every width."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import pytest
from report.builder import build

from drq_spark.report.render import render

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(render(build()), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(params=[(1400, "light"), (390, "dark")], ids=str)
def page(request, browser, page_file):
    width, scheme = request.param
    opened = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    wrong = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda message: wrong.append(message.text))
    opened.on("request", lambda asked: wrong.append(asked.url) if not asked.url.startswith("file:") else None)
    opened.goto(page_file.as_uri())
    yield opened
    assert wrong == []
    assert opened.evaluate("document.documentElement.scrollWidth") <= width  # nothing hides beyond the edge
    opened.close()


def items(page):
    return json.loads(page.text_content("#explorer-items"))


def focused(page):
    return page.evaluate("document.activeElement.textContent")


def test_an_item_is_found_and_opened_by_keyboard(page):
    page.fill("#explorer-query", "ESPRESSO machine 15 bar 10")
    found = page.locator("#explorer-results .item").all_text_contents()
    assert found[0].startswith("Espresso machine 15 bar 10")
    page.keyboard.press("ArrowDown")
    assert focused(page) == found[0]
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.id") == "explorer-query"
    page.keyboard.press("Enter")
    assert focused(page) == found[0]  # the heading of the item
    shown = page.text_content("#explorer-item")
    data = items(page)
    place = data["names"].index(found[0])
    assert "".join(f"<{letter}_{codes[place]}>" for letter, codes in zip("abc", data["codes"], strict=True)) in shown
    assert data["ids"][place] in shown


def test_who_shares_a_sid_and_who_is_near(page):
    data = items(page)
    sids = list(zip(*data["codes"], strict=True))
    shared = next(place for place, sid in enumerate(sids) if sids.count(sid) > 2)
    page.fill("#explorer-query", data["ids"][shared])
    page.locator("#explorer-results .item").first.click()
    others = sids.count(sids[shared]) - 1
    assert f"Also with this SID: {others} items" in page.inner_text("#explorer-item")
    crowded = Counter(sids)
    assert len([n for n in crowded.values() if n > 1]) == page.locator("#explorer-crowded > li").count()


def test_the_tree_opens_level_by_level_down_to_an_item(page):
    data = items(page)
    top = Counter(data["codes"][0])
    first = page.locator("#explorer-tree > ul > li > button").first
    assert f"{max(top.values())} items" in first.inner_text()
    first.click()
    assert first.get_attribute("aria-expanded") == "true"
    first.click()
    assert first.get_attribute("aria-expanded") == "false"
    page.fill("#explorer-query", data["ids"][-1])
    page.keyboard.press("Enter")
    page.click("text=Show in the tree")
    assert focused(page).startswith(f"<c_{data['codes'][2][-1]}>")
    assert page.locator("#explorer-tree >> text=" + data["names"][-1]).last.is_visible()


def test_nothing_found_is_said(page):
    page.fill("#explorer-query", "no such thing")
    assert page.inner_text("#explorer-said") == "0 items"
    assert page.locator("#explorer-results li").count() == 0
