"""Words of the glossary lead to it from all headings, heads of tables and lists, and verdicts of the page."""

from __future__ import annotations

import re
from html import unescape

import pytest
from matplotlib.figure import Figure
from report.builder import build

from drq_spark.report.glossary import GLOSSARY, linked
from drq_spark.report.render import render

LISTS = r'<table.*?</table>|<dl class="(?:cards|facts)">.*?</dl>|<ul class="findings">.*?</ul>'
HEADS = r"<(caption|th scope=\"col\"[^>]*|dt|h2|h3)>(.*?)</(?:caption|th|dt|h2|h3)>"
FINDINGS = r'<li><span class="grade[^>]*>()[^<]*</span><span>(.*?)</span></li>'


def names_in(markup: str) -> list[str]:
    return re.findall(r'href="#term-([^"]*)"', markup)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Effective capacity of levels", ["capacity", "level"]),
        ("K_eff = K · D · G", ["capacity", "code", "evenness", "spacing"]),
        ("H(code | before), k and d", ["entropy", "code"]),
        ("sid_survival, levelling, relative_mse", ["relative-mse"]),
        ("Items that share a SID have the same SIDs", ["sharing", "sid"]),
        ("SIDs, a SID", ["sid"]),
        ("nothing of ours", []),
    ],
)
def test_words_are_told_from_parts_of_words(text, names):
    assert names_in(linked(text, [])) == names


def test_a_term_has_one_link_in_what_is_read_together():
    met: list[str] = []
    assert linked("Level 1", met) == '<a class="term" href="#term-level">Level</a> 1'
    assert linked("Level 2 & its codes", met) == 'Level 2 &amp; its <a class="term" href="#term-code">codes</a>'
    assert met == ["level", "code"]


def test_text_from_outside_stays_text():
    assert linked("<b>K</b>", []) == '&lt;b&gt;<a class="term" href="#term-code">K</a>&lt;/b&gt;'


def test_every_term_has_a_name_and_words_of_its_own():
    assert len({term.name for term in GLOSSARY}) == len(GLOSSARY)
    words = [word for term in GLOSSARY for word in (*term.words, *term.symbols)]
    assert len(set(words)) == len(words)
    for term in GLOSSARY:
        for word in (*term.words, *term.symbols):
            assert names_in(linked(f"({word})", [])) == [term.name]


@pytest.fixture(scope="module")
def text():
    with pytest.MonkeyPatch.context() as patch:  # charts hold no links
        patch.setattr(
            Figure, "savefig", lambda figure, buffer, **options: buffer.write('<svg viewBox="0 0 1 1"></svg>')
        )
        return render(build(failed=True))


def test_what_has_a_word_of_the_glossary_has_a_link_to_it(text):
    """In every list or table of its own; headings of a section share theirs."""
    body = text[text.index('<section id="verdict"') : text.index('<section id="glossary"')]
    groups = re.findall(LISTS, body, re.DOTALL)
    groups += re.sub(LISTS, "", body, flags=re.DOTALL).split("<section ")
    assert len(groups) > 30
    for group in groups:
        plain = re.sub(r"<article.*?</article>|<dl class=.pairs.*?</dl>", "", group, flags=re.DOTALL)  # items, settings
        heads = [cell for _, cell in re.findall(HEADS, plain, re.DOTALL) + re.findall(FINDINGS, plain)]
        words = unescape(re.sub("<[^>]*>", "", " | ".join(heads)))
        assert names_in("".join(heads)) == names_in(linked(words, [])), words


def test_so_has_the_sentence_of_the_verdict(text):
    banner = text[text.index("<header") : text.index("</header>")]
    assert names_in(banner) == ["gate", "sid"]


def test_every_link_leads_to_an_entry(text):
    assert set(names_in(text)) <= {term.name for term in GLOSSARY}
    for term in GLOSSARY:
        assert text.count(f'id="term-{term.name}"') == 1
