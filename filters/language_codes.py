"""Codes of languages: what the labels of language models are in ISO 639-3, the same for every model.

A label is an ISO 639 code of two or three letters, with a script (`eng_Latn`: GlotLID, OpenLID, NLLB) or without one
(`en`: lid.176). Models differ in whether they name a macrolanguage (`zho`, `ara`) or its members (`cmn`, `arb`). Here
the member that is the standard or by far the most written one is named as the macrolanguage, so `zh`, `cmn_Hani` and
`zho_Hans` are all `zho`; other members keep codes of their own (`yue`, `ary`, `prs`, `nno`).
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches

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

# Members of macrolanguages (SIL's table) that are called by the macrolanguage; Filipino is standardized Tagalog, and
# written Norwegian that is not called Nynorsk is Bokmål.
_STANDARD = """
    als:sqi arb:ara ayr:aym azj:aze cmn:zho dik:din ekk:est fil:tgl fuv:ful gaz:orm gug:grn khk:mon kmr:kur knc:kau
    kpv:kom lvs:lav nor:nob npi:nep ory:ori pbt:pus pbu:pus pes:fas plt:mlg quy:que swh:swa uzn:uzb ydd:yid zsm:msa
"""
_STANDARD_OF = dict(pair.split(":") for pair in _STANDARD.split())

# ISO 639-2's bibliographic codes, which people write, too.
_BIBLIOGRAPHIC = """
    alb:sqi arm:hye baq:eus bur:mya chi:zho cze:ces dut:nld fre:fra geo:kat ger:deu gre:ell ice:isl mac:mkd mao:mri
    may:msa per:fas rum:ron slo:slk tib:bod wel:cym
"""
_ALIASES = _TWO_LETTERS | _STANDARD_OF | dict(pair.split(":") for pair in _BIBLIOGRAPHIC.split())

# Scripts that a label may name and that `filters.scripts` cannot tell apart.
_SCRIPTS = {"Hans": "Hani", "Hant": "Hani", "Kore": "Hang"}


def code(label: str) -> str:
    """ISO 639-3 code of a model's label, such as `en`, `ceb` or `eng_Latn`; `und` for what is no code."""
    language, _, script = label.partition("_")
    if not script:
        language = _WIKIPEDIAS.get(language, language)
    language = _TWO_LETTERS.get(language, language)
    return _STANDARD_OF.get(language, language) if re.fullmatch("[a-z]{3}", language) else UNDETERMINED


def tag(label: str, script: str) -> str:
    """The code of a label with the label's script, or, where it has none, with `script`, as in `eng_Latn`.

    Han is `Hani`, simplified or traditional; Korean is `Hang`.
    """
    written = label.partition("_")[2]
    return f"{code(label)}_{_SCRIPTS.get(written, written) or script}"


def nearest(word: str, valid: Iterable[str] = _TWO_LETTERS.values()) -> str:
    """The code that is meant by a word that is none of the valid codes, by default those that ISO 639-1 has, too."""
    codes = sorted(valid)
    alias = _ALIASES.get(word.lower(), word.lower())
    return alias if alias in codes else get_close_matches(word.lower(), codes, n=1, cutoff=0.0)[0]
