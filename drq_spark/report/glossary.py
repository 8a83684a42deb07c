"""The words of the page with their formulas, and links to them from where they are used; docs/figures.md says more."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from markupsafe import Markup, escape


@dataclass(frozen=True)
class Term:
    """An entry of the glossary.

    Attributes:
        name: What links call it.
        title: As it stands in the glossary.
        formula: Empty where there is none.
        meaning: One or two sentences.
        words: What the page calls it, with small letters or capitals, in the singular or the plural.
        symbols: What formulas and heads of tables call it, written just so.
    """

    name: str
    title: str
    formula: str
    meaning: str
    words: tuple[str, ...]
    symbols: tuple[str, ...] = ()


# fmt: off
GLOSSARY = (
    Term(
        "sid", "Semantic ID, SID", "s = (s¹ … s^L)",
        "The tuple of codes of an item, one code per level. Similar items share leading codes.",
        ("semantic ID", "SID"),
    ),
    Term(
        "code", "Code, codeword, K", "",
        "A level has K codes, numbered from 0; each stands for a point in latent space, its codeword.",
        ("code", "codeword"), ("K",),
    ),
    Term(
        "level", "Level, residual", "r¹ = z,  rˡ⁺¹ = rˡ − c(sˡ)",
        "Each level takes the codeword nearest to what the levels before it left over.",
        ("level", "residual"),
    ),
    Term(
        "usage", "Usage π", "π_k = n_k / N",
        "Share of the items, or of the exposure, that has code k.",
        ("usage", "use of the codes"), ("π",),
    ),
    Term(
        "in-use", "Codes in use, dead codes", "#{k: n_k > 0} / K",
        "Codes that some item has; all others are dead.",
        ("codes in use", "in use", "dead code"),
    ),
    Term(
        "exposure", "Exposure", "",
        "How often an item is shown. Figures by exposure say what users meet, figures by items what the catalogue "
        "holds.",
        ("exposure",),
    ),
    Term(
        "perturbation", "Perturbation η, σ", "σ = η · √(tr Σ² / tr Σ)",
        "Size of the shake that codes must survive: η = 1 is the natural spread of the latents per effective "
        "coordinate; Σ is their covariance.",
        ("perturbation",), ("η", "σ"),
    ),
    Term(
        "overlap", "Overlap O_π", "O_π = Σ_ij π_i π_j · erfc(‖c_i − c_j‖ / (2√2 σ))",
        "Mean overlap of the codes of two items drawn at random: 1 where all codes blur into one.",
        ("overlap",), ("O_π",),
    ),
    Term(
        "price", "Price b", "‖r − c_k‖² + b_k",
        "What a code costs beside its distance: crowded codes cost more, so that use evens out. O_π with prices is the "
        "overlap of the cells that prices make.",
        ("price",),
    ),
    Term(
        "capacity", "Effective capacity K_eff", "K_eff = 1 / O_π",
        "As many equally used codes that never blur into each other. Between 1 and K.",
        ("effective capacity", "capacity"), ("K_eff",),
    ),
    Term(
        "evenness", "Evenness D", "D = 1 / (K · Σ π²)",
        "What uneven use leaves of the K codes; 1 is even use.",
        ("evenness", "imbalance", "uneven use"), ("D",),
    ),
    Term(
        "spacing", "Spacing G", "G = Σ π² / O_π",
        "What codewords that lie too close leave of the rest; 1 is well apart. K_eff = K · D · G.",
        ("spacing", "geometry"), ("G",),
    ),
    Term(
        "perplexity", "Inverse Simpson, perplexity", "1 / Σ π²,  exp(−Σ π ln π)",
        "Two ways to count the codes in real use. Both are K for even use; rare codes count less in the first.",
        ("inverse Simpson", "perplexity"),
    ),
    Term(
        "gini", "Gini", "Σ_i (2i − K − 1) n_(i) / (K Σ n)",
        "Inequality of use over all K codes: 0 is even, near 1 a few codes hold everything.",
        ("Gini",),
    ),
    Term(
        "surplus", "Surplus, duplicate_rate", "1 − unique SIDs / items",
        "Items that would have to go for every SID to be unique.",
        ("surplus", "duplicate_rate"),
    ),
    Term(
        "sharing", "Sharing, shared_rate", "items in buckets of 2 or more / items",
        "Items whose SID some other item has too.",
        ("sharing", "share a SID", "shared_rate"),
    ),
    Term(
        "bucket", "Bucket", "",
        "All items with the same SID.",
        ("bucket",),
    ),
    Term(
        "collision-mass", "Collision mass", "Σ n² / N²",
        "Chance that two items drawn at random have the same SID.",
        ("collision mass",),
    ),
    Term(
        "exact-duplicates", "Exact duplicates", "1 − different embeddings / items",
        "Items with an embedding that occurred before: no tokenizer can tell them apart, so this surplus is "
        "harmless.",
        ("exact duplicate",),
    ),
    Term(
        "entropy", "Entropy H, nats", "H(sˡ | s¹ … sˡ⁻¹)",
        "Uncertainty about the next code once the earlier ones are known; ln K at most.",
        ("entropy", "nats"), ("H",),
    ),
    Term(
        "relative-mse", "Relative MSE", "Σ‖x − x̂‖² / Σ‖x − mean‖²",
        "Share of the embeddings' variance that the SIDs do not explain.",
        ("relative MSE", "relative_mse"),
    ),
    Term(
        "margin", "Margin", "(d₂² − d₁²) / d₂²",
        "How clearly the nearest codeword won over the second: 0 is a tie, 1 a perfect hit.",
        ("margin",),
    ),
    Term(
        "float64", "Decided in float64", "",
        "Items whose codeword float32 could not tell from another one. It costs work and says nothing of quality.",
        ("decided in float64",),
    ),
    Term(
        "ruler", "Rulers η, ρ", "",
        "What moves an embedding: noise on the latents (η), noise on the embeddings of ρ times their norm, or a "
        "second version of them. Only the last two are the same for every tokenizer.",
        ("ruler",), ("ρ",),
    ),
    Term(
        "flip-rate", "Flip rate, survival", "",
        "Items that get another code of a level, and items that keep all codes, when they are encoded again with "
        "noise.",
        ("flip rate", "flip", "survival"),
    ),
    Term(
        "segment", "Head, torso, tail", "",
        "Items that are shown much, fairly and hardly.",
        ("head", "torso", "tail"),
    ),
    Term(
        "neighbour-recall", "Neighbour recall", "",
        "Share of the 20 (200) nearest items of an embedding that are also nearest to what its SID rebuilds.",
        ("neighbour recall", "neighbours kept"),
    ),
    Term(
        "retention", "Hit rate, retention", "hit rate by SIDs / hit rate by embeddings",
        "How often the next item of a user is among the nearest, and how much of that the SIDs keep.",
        ("hit rate", "retention", "behaviour kept"),
    ),
    Term(
        "auc", "AUC", "P(true pair > other pair) + P(equal) / 2",
        "Chance that a pair of consecutive items is scored above a pair with another partner: 0.5 is chance, 1 "
        "tells all apart.",
        (), ("AUC",),
    ),
    Term(
        "gain", "Gain of an attribute", "H(sˡ | s¹ … sˡ⁻¹, before) − H(sˡ | s¹ … sˡ⁻¹, before, a)",
        "What attribute a tells of the code beyond codes and attributes before it. The plug-in estimate flatters; "
        "the same attribute permuted shows by how much.",
        ("gain",),
    ),
    Term(
        "churn", "Churn", "1 − Σ_k n_kk / N",
        "Items whose code changed since the previous run; really moved = after renaming codes in the best one-to- "
        "one way.",
        ("churn", "really moved"),
    ),
    Term(
        "drift", "Drift of use", "",
        "Jensen-Shannon divergence, in bits, between the use of the codes now and in the run that trained the "
        "tokenizer: 0 where all shares are the same, 1 where no code is used by both.",
        ("drift of use", "drift"),
    ),
    Term(
        "quarantine", "Quarantine", "",
        "Input rows that could get no SID. Rows in = rows with a SID + quarantined rows, checked in every run.",
        ("quarantine", "quarantined"),
    ),
    Term(
        "gate", "Gate", "",
        "Bounds that a run must meet before readers follow it.",
        ("gate",),
    ),
)
"""In the order of the page."""
# fmt: on


def linked(text: str, met: list[str]) -> Markup:
    """A text with links to the glossary, from the first word for each of its terms.

    Args:
        text: Plain; it is escaped here.
        met: Names of the terms that what is read together with it has links to already; those of the text join them.
    """
    parts, end = [], 0
    for found in _pattern().finditer(text):
        name = _names().get(found[0]) or _names()[found[0].lower().removesuffix("s")]
        if name not in met:
            met.append(name)
            link = Markup('<a class="term" href="#term-{}">{}</a>').format(name, found[0])
            parts += [escape(text[end : found.start()]), link]
            end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


@cache
def _names() -> dict[str, str]:
    """Symbol, or word in small letters without the s of a plural -> name of the term."""
    words = {word.lower().removesuffix("s"): term.name for term in GLOSSARY for word in term.words}
    return words | {symbol: term.name for term in GLOSSARY for symbol in term.symbols}


@cache
def _pattern() -> re.Pattern[str]:
    """Any word or symbol, the longest that is there, and no part of a longer word."""
    symbols = {symbol for term in GLOSSARY for symbol in term.symbols}
    either = "|".join(
        re.escape(form) if form in symbols else f"(?i:{re.escape(form)}s?)"
        for form in sorted(_names(), key=len, reverse=True)
    )
    return re.compile(rf"(?<!\w)(?:{either})(?!\w)")
