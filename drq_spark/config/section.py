"""What all sections of the settings have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(ge=1)]
AtLeast2 = Annotated[int, Field(ge=2)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]

_PLACE = "place"
Place = Annotated[str | None, _PLACE]
"""Says where something is. It changes no result, and it may name a machine: pages show its end only."""


class Section(BaseModel):
    """Base of all sections: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def places(cls) -> set[str]:
        """Names of the settings that are a `Place`."""
        return {name for name, field in cls.model_fields.items() if _PLACE in field.metadata}
