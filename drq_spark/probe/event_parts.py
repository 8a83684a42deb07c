"""What events are for, and how they are told apart."""

from __future__ import annotations

from enum import Enum


class Part(str, Enum):
    """What an event is for; the values of probe_events.part."""

    TRAINING = "training"
    VALIDATION = "validation"
    TEST = "test"


class Split(str, Enum):
    """Which events judge: the values of --split."""

    AUTO = "auto"
    TIME = "time"
    LAST = "last"
