"""What all sections of the settings have in common."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from drq_spark.addresses import has_secret, without_secrets

Positive = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
AtLeast2 = Annotated[int, Field(ge=2)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


def _without_secret(address: str | None) -> str | None:
    """Refuse what would open a place for whoever reads the settings, which every run keeps in a table."""
    if address is not None and has_secret(address):
        raise ValueError(
            f"{without_secrets(address)!r} comes with a password, token or query, and settings are kept in tables: "
            "leave it out and give it to Spark (fs.s3a.access.key ..) or to the environment"
        )
    return address


_PLACE = "place"
Place = Annotated[str | None, _PLACE, AfterValidator(_without_secret)]
"""Says where something is. It changes no result, and it may name a machine: pages show its end only."""


_NEUTRAL = "neutral"
Patience = Annotated[float, _NEUTRAL, Field(ge=0.0)]
"""How long a run waits for something: it changes no result."""


Spelling = Annotated[str, _NEUTRAL]
"""How something that is there is written out: it changes no result."""


Processor = Annotated[Literal["cpu", "gpu"], _NEUTRAL]
"""What computes the same bits: it changes no result."""


def _name_of_channel(name: str) -> str:
    """Refuse what cannot end the name of a table."""
    if re.fullmatch("[a-z][a-z0-9_]{0,39}", name) is None:
        raise ValueError(f"{name!r} names no channel: small letters, digits and _, a letter first, at most 40 of them")
    return name


Channel = Annotated[str, _NEUTRAL, AfterValidator(_name_of_channel)]
"""Whose readers a run is for: a part of the names of tables. It changes no result."""

LATER = "later"
"""Marks a setting that earlier versions did not have, in `Annotated[.., LATER]`.

At its default it changes no result and stays out of the fingerprint, so that the runs of those versions are known
again.
"""


class Section(BaseModel):
    """Base of all sections: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)

    @classmethod
    def places(cls) -> set[str]:
        """Names of the settings that are a `Place`."""
        return {name for name, field in cls.model_fields.items() if _PLACE in field.metadata}

    def deciding(self) -> dict[str, Any]:
        """Settings that can change a result, as JSON: all but places, what is neutral, and unused `LATER` ones.

        A section in which none is left is left out.
        """
        kept = self.model_dump(mode="json")
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            unused = LATER in field.metadata and value == field.default
            if isinstance(value, Section):
                kept[name] = value.deciding()
            if isinstance(value, tuple):
                kept[name] = [
                    part.deciding() if isinstance(part, Section) else kept[name][place]
                    for place, part in enumerate(value)
                ]
            neutral = _PLACE in field.metadata or _NEUTRAL in field.metadata
            if neutral or unused or kept[name] == {}:
                del kept[name]
        return kept
