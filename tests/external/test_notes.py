"""The notes before the figures: what they must name for a reader to judge SIDs from elsewhere."""

from __future__ import annotations

import pytest
from pipeline.catalogues import clustered
from pipeline.direct import ready_tokenizer

from drq_spark.external import notes
from drq_spark.external.codebook_tokenizer import CodebookTokenizer

TOKENIZER = ready_tokenizer(clustered(60, 6), 8, 3)


def test_known_latents_are_named_with_the_share_that_the_codebooks_explain():
    assert notes.unit_of_sigma(CodebookTokenizer(TOKENIZER, 0.25, 20_000, 0.5, 2000)) == (
        "η = 1 is 0.25, the spread per effective coordinate of the embeddings of 20,000 items: the codebooks are taken "
        "to quantize them as they are. The nearest codewords give the SIDs of 50\xa0% of 2,000 items; where that is "
        "little, an encoder or a beam lies between, or codes were moved apart."
    )


def test_unknown_latents_are_said_to_overstate_capacity():
    assert notes.unit_of_sigma(CodebookTokenizer(TOKENIZER, 0.25, 237, None, 0)) == (
        "η = 1 is 0.25, the spread per effective coordinate of the sums of the codewords of 237 items: the latents are "
        "not known. They spread wider, so that capacity is overstated."
    )


@pytest.mark.parametrize(
    ("note", "words"),
    [
        (notes.rows_set_aside(3, 4000, 3, "3 null_id"), "3 of 4,000 rows cannot be used as SIDs of 3 codes: 3 null_id"),
        (notes.longer_codes(1200, 3), "1,200 items have one code more than 3"),
        (notes.codes_count_from_1(), "set sids.base=1"),
        (notes.one_vocabulary((0, 256)), "set sids.base=[0,256]"),
        (notes.last_code_numbers(4), "set sids.levels=3"),
        (notes.rows_are_ids(), "sids.id=row"),
        (notes.no_header(("a", "<a_1>"), rows=False), "'a,<a_1>', names no columns"),
        (notes.other_items(-1), "set sids.id_shift=-1"),
        (notes.other_items(None), "Do sids.id and items.id hold the same ids"),
        (notes.sizes_guessed((8, 6)), "[8, 6]: give --codes"),
        (notes.items_without_sid(2000), "2,000 items of the items table have no SID"),
    ],
)
def test_each_note_names_its_numbers_or_its_remedy(note, words):
    assert words in note
