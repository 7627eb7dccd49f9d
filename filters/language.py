"""Language identification with any fastText model, by default lid.176 (176 languages, `models/lid.176.LICENSE`)."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from filters import fasttext_model
from filters.batch import TextBatch
from filters.family import signal
from filters.scripts import SCRIPTS, dominant_scripts

MODEL = Path(__file__).parent / "models" / "lid.176.ftz"
MODEL_SHA256 = "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"
SAMPLE = 2048
UNDETERMINED = "und"

# ISO 639-1 to ISO 639-3 (SIL's code tables).
_ISO_639 = """
    aa:aar ab:abk ae:ave af:afr ak:aka am:amh an:arg ar:ara as:asm av:ava ay:aym az:aze ba:bak be:bel bg:bul bi:bis
    bm:bam bn:ben bo:bod br:bre bs:bos ca:cat ce:che ch:cha co:cos cr:cre cs:ces cu:chu cv:chv cy:cym da:dan de:deu
    dv:div dz:dzo ee:ewe el:ell en:eng eo:epo es:spa et:est eu:eus fa:fas ff:ful fi:fin fj:fij fo:fao fr:fra fy:fry
    ga:gle gd:gla gl:glg gn:grn gu:guj gv:glv ha:hau he:heb hi:hin ho:hmo hr:hrv ht:hat hu:hun hy:hye hz:her ia:ina
    id:ind ie:ile ig:ibo ii:iii ik:ipk io:ido is:isl it:ita iu:iku ja:jpn jv:jav ka:kat kg:kon ki:kik kj:kua kk:kaz
    kl:kal km:khm kn:kan ko:kor kr:kau ks:kas ku:kur kv:kom kw:cor ky:kir la:lat lb:ltz lg:lug li:lim ln:lin lo:lao
    lt:lit lu:lub lv:lav mg:mlg mh:mah mi:mri mk:mkd ml:mal mn:mon mr:mar ms:msa mt:mlt my:mya na:nau nb:nob nd:nde
    ne:nep ng:ndo nl:nld nn:nno nr:nbl nv:nav ny:nya oc:oci oj:oji om:orm or:ori os:oss pa:pan pi:pli pl:pol ps:pus
    pt:por qu:que rm:roh rn:run ro:ron ru:rus rw:kin sa:san sc:srd sd:snd se:sme sg:sag sh:hbs si:sin sk:slk sl:slv
    sm:smo sn:sna so:som sq:sqi sr:srp ss:ssw st:sot su:sun sv:swe sw:swa ta:tam te:tel tg:tgk th:tha ti:tir tk:tuk
    tl:tgl tn:tsn to:ton tr:tur ts:tso tt:tat tw:twi ty:tah ug:uig uk:ukr ur:urd uz:uzb ve:ven vi:vie vo:vol wa:wln
    wo:wol xh:xho yi:yid yo:yor za:zha zh:zho zu:zul
"""
_TWO_LETTERS = dict(pair.split(":") for pair in _ISO_639.split())
# lid.176 was trained on Wikipedia, so its labels are names of Wikipedias; these are not what ISO 639 means by them.
_WIKIPEDIAS = {"als": "gsw", "bh": "bho", "eml": "egl", "no": "nob"}


class Language:
    """The family `language`, measured on the whole text, or on a sample of a long one (see `sample`).

    A text without a letter of any script is `und` with score 0: the model would name a language even for it.
    """

    name = "language"
    version = 1
    schema = pa.schema(
        [
            signal(
                "code",
                pa.string(),
                """ISO 639-3 code of the most likely language, as in `eng`; a macrolanguage stays what the
                model calls it (`zho`, `ara`); `und` for a text without letters.""",
            ),
            signal("score", pa.float64(), "The model's probability of its label; 0 to 1, rounded to 4 decimals."),
            signal("label", pa.string(), "The model's own label; empty for a text without letters."),
            signal(
                "script",
                pa.string(),
                "ISO 15924 code of the most frequent script among the whole text's letters; `Zyyy` where none is.",
            ),
        ]
    )

    def __init__(self, *, model: Path | str = MODEL, sha256: str | None = None) -> None:
        """Load a fastText model whose labels are ISO 639 codes, with or without a script (`eng_Latn`).

        Args:
            model: The model's file, by default the one in this package, which is checked against its digest.
            sha256: The digest of a model of one's own.

        Raises:
            AssetError: The file is missing, altered or no fastText classifier.
        """
        model = Path(model)
        digest = sha256 if model != MODEL else sha256 or MODEL_SHA256
        self._model = fasttext_model.load("language.model", model, digest)

    def __call__(self, batch: TextBatch) -> pa.RecordBatch:
        """Identify the language of every text; columns as in `schema`."""
        scripts = [SCRIPTS[index] for index in dominant_scripts(batch.data, batch.offsets)]
        buffer, offsets = batch.data.data, batch.offsets.tolist()
        codes, scores, labels = [], [], []
        for script, start, end in zip(scripts, offsets[:-1], offsets[1:]):
            label, score = "", 0.0
            if script != "Zyyy":
                label, score = self._model.predict(sample(buffer[start:end]))
            codes.append(code(label))
            scores.append(score)
            labels.append(label)
        columns = [pa.array(codes), pa.array(np.round(scores, 4)), pa.array(labels), pa.array(scripts)]
        return pa.record_batch([c.cast(f.type) for c, f in zip(columns, self.schema)], schema=self.schema)


def code(label: str) -> str:
    """ISO 639-3 code of a model's label, such as `en`, `ceb`, or, with a script that is left out, `eng_Latn`."""
    language = label.partition("_")[0]
    return _WIKIPEDIAS.get(language) or _TWO_LETTERS.get(language) or language or UNDETERMINED


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
