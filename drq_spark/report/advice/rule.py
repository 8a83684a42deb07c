"""What a rule says, and the names of the rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

ERRORS = 2  # standard errors that an estimate must be beyond a threshold


class Rule(str, Enum):
    """Names of the rules; the values are the words on the page."""

    COLLAPSED = "The first level has collapsed"
    DEAD = "Dead codes"
    UNEVEN = "Uneven use"
    UNSTABLE = "Codes finer than the embeddings are stable"
    CROWDED = "Codewords too close to each other"
    EXPOSURE = "Exposure crowds into few codes"
    DUPLICATES = "Copies in the catalogue"
    TOO_SMALL = "Too few SIDs for the catalogue"
    CLUMPED = "Clumps of near-duplicates"
    BEHAVIOUR = "Behaviour is lost"
    DRIFTED = "The items are no longer those of the training"


@dataclass(frozen=True)
class Advice:
    """What is wrong, by one rule.

    Attributes:
        rule: The rule that speaks.
        levels: The levels that it is about, from 1; empty for whole SIDs.
        weighting: Whether it is by items or by exposure.
        cause: A sentence that holds for SIDs of any system.
        remedy: Another such sentence, on what helps.
        settings: Which settings here bring the remedy about.
        numbers: (name, value) of the figures that triggered the rule.
    """

    rule: Rule
    levels: tuple[int, ...]
    weighting: str
    cause: str
    remedy: str
    settings: str
    numbers: tuple[tuple[str, float], ...]


def has(found: Sequence[Advice], level: int, *rules: Rule) -> bool:
    """Whether one of these rules has spoken of a level."""
    return any(entry.rule in rules and level in entry.levels for entry in found)


def where(levels: Sequence[int]) -> str:
    """The levels in words."""
    return f"level{'s' * (len(levels) > 1)} {', '.join(map(str, levels))}"
