"""What all sections of the settings have in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(ge=1)]
AtLeast2 = Annotated[int, Field(ge=2)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]

_PLACE = "place"
Place = Annotated[str | None, _PLACE]
"""Says where something is. It changes no result, and it may name a machine: pages show its end only."""


LATER = "later"
"""Marks a setting that earlier versions did not have, in `Annotated[.., LATER]`.

At its default it changes no result and stays out of the fingerprint, so that the runs of those versions are known
again.
"""


class Section(BaseModel):
    """Base of all sections: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def places(cls) -> set[str]:
        """Names of the settings that are a `Place`."""
        return {name for name, field in cls.model_fields.items() if _PLACE in field.metadata}

    def deciding(self) -> dict[str, Any]:
        """Settings that can change a result, as JSON: all but those of a `Place` and unused `LATER` ones.

        A section in which none is left is left out.
        """
        kept = self.model_dump(mode="json")
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            unused = LATER in field.metadata and value == field.default
            if isinstance(value, Section):
                kept[name] = value.deciding()
            if _PLACE in field.metadata or unused or kept[name] == {}:
                del kept[name]
        return kept
