"""Language identification with any fastText model, by default lid.176 (176 languages, `models/lid.176.LICENSE`)."""

from pathlib import Path

import pyarrow as pa

from filters import fasttext_model, stop_words
from filters.assets import AssetError
from filters.batch import TextBatch
from filters.family import signal
from filters.language_codes import UNDETERMINED, code, tag
from filters.scripts import SCRIPTS, dominant_scripts

MODEL = Path(__file__).parent / "models" / "lid.176.ftz"
MODEL_SHA256 = "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"
SAMPLE = 2048
ASKED = 1024  # texts that the model is asked about at a time

Scores = list[tuple[str, float]]


class Language:
    """The family `language`, measured on the whole text, or on a sample of a long one (see `sample`).

    A text without a letter of any script is `und` with score 0: the model would name a language even for it. Codes are
    those of `filters.language_codes`, the same whatever the model's labels are. `codes` are those that the model knows,
    `labels` its own.
    """

    name = "language"
    version = 3
    schema = pa.schema(
        [
            signal(
                "code",
                pa.string(),
                """ISO 639-3 code of the most likely language, as in `eng`; the standard member of a macrolanguage is
                called by that (`zho`, `ara`); `und` for a text without letters.""",
            ),
            signal("score", pa.float64(), "The model's probability of its label; 0 to 1, rounded to 4 decimals."),
            signal("label", pa.string(), "The model's own label; empty for a text without letters."),
            signal(
                "tag",
                pa.string(),
                "The code and the script that the label names, or else `script`, as in `eng_Latn`.",
            ),
            signal(
                "script",
                pa.string(),
                "ISO 15924 code of the most frequent script among the whole text's letters; `Zyyy` where none is.",
            ),
            signal("second", pa.string(), "The code of the next language that the model names, as in `code`."),
            signal("second_score", pa.float64(), "The model's probability of `second`; 0 where it names none."),
            signal(
                "scores",
                pa.map_(pa.string(), pa.float64()),
                """The languages of the model's k best labels, by code, with their probabilities, as in
                `language.scores['eng'] > 0.2`; of several labels of one code the best.""",
            ),
            signal(
                "stop_words",
                pa.int64(),
                "How many different stop words of the language occur (filters/stop_words.py); 0 without a list.",
            ),
        ]
    )

    def __init__(self, *, model: Path | str = MODEL, sha256: str | None = None, k: int = 3) -> None:
        """Load a fastText model whose labels are ISO 639 codes, with or without a script (`eng_Latn`).

        Args:
            model: The model's file, by default the one in this package, which is checked against its digest.
            sha256: The digest of a model of one's own.
            k: How many of the model's best labels are kept.

        Raises:
            AssetError: The file is missing, altered, no fastText classifier, or one of something else than languages.
            ValueError: k is below 1.
        """
        if k < 1:
            raise ValueError(f"k is {k}: at least the best label is kept")
        model = Path(model)
        digest = sha256 if model != MODEL else sha256 or MODEL_SHA256
        self._model = fasttext_model.load("language.model", model, digest)
        self._k = k
        self.labels = frozenset(self._model.labels)
        self.codes = frozenset(map(code, self.labels)) - {UNDETERMINED}
        if not self.codes:
            raise AssetError(f"language.model: {model} is no model of languages: a label is {self._model.labels[0]!r}")

    def __call__(self, batch: TextBatch) -> pa.RecordBatch:
        """Identify the language of every text; columns as in `schema`."""
        scripts = [SCRIPTS[index] for index in dominant_scripts(batch.data, batch.offsets)]
        buffer, offsets = batch.data.data, batch.offsets.tolist()
        asked = [i for i, script in enumerate(scripts) if script != "Zyyy"]
        found: list[Scores] = [[] for _ in scripts]
        for start in range(0, len(asked), ASKED):
            some = asked[start : start + ASKED]
            samples = [sample(buffer[offsets[i] : offsets[i + 1]]) for i in some]
            for i, best in zip(some, self._model.best(samples, self._k)):
                found[i] = best
        rows = [_row(best, script) for best, script in zip(found, scripts)]
        counts = stop_words.count(batch, [row[3] for row in rows])
        columns = [*zip(*rows), counts] if rows else [()] * len(self.schema)
        return pa.record_batch([pa.array(c, f.type) for c, f in zip(columns, self.schema)], schema=self.schema)


def _row(found: Scores, script: str) -> tuple[str, float, str, str, str, str, float, Scores]:
    """The signals of the labels found, the best first, and of the text's script."""
    scores: dict[str, float] = {}
    for label, score in found:
        scores.setdefault(code(label), round(score, 4))
    label = found[0][0] if found else ""
    (first, score), (second, second_score) = [*scores.items(), (UNDETERMINED, 0.0), (UNDETERMINED, 0.0)][:2]
    return first, score, label, tag(label, script), script, second, second_score, [*scores.items()]


def sample(text: memoryview) -> bytes:
    """UTF-8 text of up to 6 KiB as it is; of a longer one 2 KiB each of start, middle and end, cut between characters.

    The time of a prediction grows with the text, its certainty hardly does; a text in several languages, or with a
    preface in another one, shows in three places.
    """
    size = len(text)
    if size <= 3 * SAMPLE:
        return bytes(text)
    starts = (0, (size - SAMPLE) // 2, size - SAMPLE)
    return b" ".join(_whole_characters(bytes(text[start : start + SAMPLE])) for start in starts)


def _whole_characters(piece: bytes) -> bytes:
    return piece.decode("utf-8", "ignore").encode()
