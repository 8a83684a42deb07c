"""How SIDs are spelled as tokens where they are exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from drq_spark.config.section import Section, Spelling

if TYPE_CHECKING:  # settings are read without numpy
    from drq_spark.tokens import SidTokens


class Tokens(Section):
    """How SIDs are spelled as tokens where `drq export` writes tokens; changes no SID."""

    template: Spelling = Field(
        "<a_{}>",
        description="Token of a code: {} is the code; a letter a, or a number 0 or 1, that stands alone is the level",
    )
    begin: Spelling = Field("", description="Token before every SID; none where empty")
    end: Spelling = Field("", description="Token after every SID; none where empty")
    suffix: Spelling = Field(
        "", description="Token of the suffix, {} is the number; spelled as one level more where empty"
    )

    @model_validator(mode="after")
    def _can_be_read_back(self) -> Tokens:
        if self.model_fields_set:
            self.spelling()
        return self

    def spelling(self) -> SidTokens:
        """These settings as the value that spells.

        Raises:
            ValueError: no code or no level could be read back.
        """
        from drq_spark.tokens import SidTokens

        return SidTokens(self.template, self.begin, self.end, self.suffix)
