"""How much of a text line edits cut."""

import numpy as np
import pyarrow as pa

from filters.batch import TextBatch
from filters.edits import EditedBatch
from filters.family import signal


class Removed:
    """The family `edits`: what line edits took from a text; 0 where none were asked for."""

    name = "edits"
    version = 1
    schema = pa.schema(
        [
            signal(
                "removed_words",
                pa.float64(),
                """Share of the words before line edits that are not there after them, whichever edit took them; 0
                without words. RefinedWeb (dclm, `word_removal_ratio_filter`: of tokens between white space that begin
                with a letter or digit, and by RefinedWeb's edits only).""",
            )
        ]
    )

    def __call__(self, batch: TextBatch) -> pa.RecordBatch:
        """One row per text; no nulls, never NaN."""
        before = batch.before if isinstance(batch, EditedBatch) else batch
        counts, left = np.diff(before.words.offsets), np.diff(batch.words.offsets)
        return pa.record_batch([pa.array((counts - left) / np.maximum(counts, 1))], schema=self.schema)
