"""What the codes of a map say of the settings that it needs: a note, or a refusal with the setting."""

from __future__ import annotations

import pytest

from drq_spark.config import Sids
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.external.code_ends import CodeEnds
from drq_spark.external.codebook_sizes import sizes_of

OFFSET = CodeEnds([0, 16, 32], [15, 31, 47], 0, last_numbers=False)
FROM_1 = CodeEnds([1, 1], [16, 16], 0, last_numbers=False)
NUMBERED = CodeEnds([0, 0, 0], [15, 15, 40], 0, last_numbers=True)


def sizes(found, books=None, **settings):
    chosen = Sids(**settings)
    base = chosen.base if isinstance(chosen.base, tuple) else (chosen.base,) * len(found.lowest)
    return sizes_of(found, base, chosen, books)


@pytest.mark.parametrize(
    ("found", "setting"), [(OFFSET, "sids.base=[0,16,32]"), (FROM_1, "sids.base=1"), (NUMBERED, "sids.levels=2")]
)
def test_without_k_a_note_names_the_setting_and_with_k_the_refusal_does(found, setting):
    assert any(f"set {setting}" in note for note in sizes(found)[1])
    with pytest.raises(ConfigError, match=r"sids\.codes gives it 16; .*") as told:
        sizes(found, codes=16)
    assert f"set {setting}" in str(told.value)
    with pytest.raises(InputRefused, match=r"its codebook has 16 rows; .*"):
        sizes(found, books=(16,) * len(found.lowest))


def test_with_the_setting_nothing_is_left_to_say():
    assert sizes(OFFSET, codes=16, base=(0, 16, 32)) == ((16, 16, 16), ())
    assert sizes(FROM_1, codes=16, base=1) == ((16, 16), ())


def test_codes_that_fit_k_are_not_asked_about():
    assert sizes(OFFSET, codes=48) == ((48, 48, 48), ())
    assert sizes(NUMBERED, levels=3, codes=64)[1] == ()


def test_offset_codes_whose_sids_fit_no_key_are_refused_with_the_setting():
    starts = [level * 65_536 for level in range(4)]
    found = CodeEnds(starts, [start + 65_535 for start in starts], 0, last_numbers=False)
    with pytest.raises(InputRefused, match=r"2\^63 .*set sids.base=\[0,65536,131072,196608\]"):
        sizes(found)


def test_a_code_below_the_first_names_its_level():
    with pytest.raises(InputRefused, match=r"code 16 at level 2; codes count from 17 \(sids.base\)"):
        sizes(OFFSET, base=(0, 17, 32))
