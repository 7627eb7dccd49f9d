"""Names of licences as SPDX expressions, and which expressions an allow-list admits.

Expressions are checked and spelled by packaging.licenses (SPDX specification 2.3, annex D). Beyond them this knows the
names that people write into manifests, the trove classifiers of PyPI and the short names of debian/copyright
(Debian's copyright format 1.0).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

UNKNOWN = "unknown"
PUBLIC_DOMAIN = "LicenseRef-Public-Domain"
ANY_BSD = "LicenseRef-BSD"  # one of the BSD licences, and nothing says which

_PERMISSIVE = """
0BSD AFL-2.0 AFL-2.1 AFL-3.0 Apache-1.0 Apache-1.1 Apache-2.0 Artistic-2.0 Beerware blessing BlueOak-1.0.0 bzip2-1.0.6
BSD-1-Clause BSD-2-Clause BSD-2-Clause-Patent BSD-2-Clause-Views BSD-3-Clause BSD-3-Clause-Clear BSD-3-Clause-LBNL
BSD-3-Clause-Modification BSD-4-Clause BSD-4-Clause-UC BSD-Source-Code BSL-1.0 CC0-1.0 CNRI-Python curl ECL-2.0
EFL-2.0 FSFAP FSFUL FSFULLR FSFULLRWD FTL HPND HPND-sell-variant ICU IJG Intel ISC libpng-2.0 Libpng libtiff
Linux-OpenIB MIT MIT-0 MIT-CMU MIT-Modern-Variant MIT-feh MITNFA MS-PL MulanPSL-2.0 NCSA NTP OLDAP-2.8 OpenSSL
PHP-3.01 PostgreSQL PSF-2.0 Python-2.0 Python-2.0.1 Ruby SMLNJ SSH-short TCL TCP-wrappers UPL-1.0 Unicode-3.0
Unicode-DFS-2015 Unicode-DFS-2016 Unlicense UnixCrypt W3C WTFPL X11 Xnet zlib-acknowledgement Zlib ZPL-2.0 ZPL-2.1
LicenseRef-Public-Domain LicenseRef-BSD
"""
PERMISSIVE = frozenset(_PERMISSIVE.split())
"""What `permissive` stands for: licences that ask for no more than notices, after the Blue Oak Council's list
(blueoakcouncil.org/list, ranks model to lead) and The Stack v2's use of it (Lozhkov et al. 2024, arXiv 2402.19173)."""

_GNU = re.compile(
    r"(?:gnu[\s-]*)?(?P<kind>affero|lesser|library|free documentation|agpl|lgpl|gfdl|gpl|general public)"
    r"(?:[\s-]*general)?(?:[\s-]*public)?(?:[\s-]*licen[sc]e)?[\s,()]*(?:[al]?gpl|gfdl)?[\s,()-]*(?:version|v)?[\s.-]*"
    r"(?P<version>[123](?:\.[0-3])?)?(?:\.0)?[\s,()-]*(?:[al]?gplv?[123](?:\.[0-3])?)?\s*"
    r"(?P<later>\+|-?or[\s-]later|or[\s-]newer|or \(at your option\) any later.*|or any later.*|\(or later\))?"
    r"(?:[\s-]*(?P<only>only))?[\s)]*(?:licen[sc]e)?[\s)]*(?:\([al]?gplv?[123](?:\.[0-3])?\+?\))?"
)
_KIND = {"affero": "AGPL", "agpl": "AGPL", "lesser": "LGPL", "library": "LGPL", "lgpl": "LGPL",
         "free documentation": "GFDL", "gfdl": "GFDL", "gpl": "GPL", "general public": "GPL"}  # fmt: skip

_PATTERNS = [
    (re.compile(pattern), name)
    for pattern, name in (
        (r"(?:the )?(?:mit|expat)(?:/expat|/x11| \(expat\))?", "MIT"),
        (r"x11|mit[/-]x(?:11|consortium)?", "MIT"),
        (r"apache(?: software)?[ -]*(?:2(?:\.0)?)?|al2|apl[ -]?2(?:\.0)?|asl[ -]?2(?:\.0)?|apache2", "Apache-2.0"),
        (r"(?:new|modified|revised|3[- ]?clause|three[- ]clause) bsd|bsd[- ]*3(?:[- ]?clause)?|"
         r"bsd \(?(?:3[- ]?clause|new|revised|modified)\)?", "BSD-3-Clause"),
        (r"(?:simplified|freebsd|2[- ]?clause|two[- ]clause) ?(?:bsd)?|bsd[- ]*2(?:[- ]?clause)?|"
         r"bsd \(?(?:2[- ]?clause|simplified)\)?", "BSD-2-Clause"),
        (r"bsd[- ]*4(?:[- ]?clause)?|original bsd", "BSD-4-Clause"),
        (r"bsd(?:[- ](?:like|style))?", ANY_BSD),
        (r"isc(?: \(iscl\))?|iscl", "ISC"),
        (r"mozilla public(?: version)? 2(?:\.0)?(?: \(mpl ?2(?:\.0)?\))?|mpl[ -]?v?2(?:\.0)?", "MPL-2.0"),
        (r"mozilla public(?: version)? 1\.1(?: \(mpl ?1\.1\))?|mpl[ -]?v?1\.1", "MPL-1.1"),
        (r"(?:python software foundation|psf|psfl)(?:[ -]?2(?:\.0)?)?", "PSF-2.0"),
        (r"python(?:[ -]2\.0)?", "Python-2.0"),
        (r"public[- ]domain|pd", PUBLIC_DOMAIN),
        (r"(?:the )?unlicense(?: \(unlicense\))?", "Unlicense"),
        (r"cc0(?:[- ]?1\.0)?(?: universal)?(?: \(cc0 1\.0\) public domain dedication)?", "CC0-1.0"),
        (r"zlib(?:/libpng)?", "Zlib"),
        (r"boost(?: software)?(?: 1\.0)?(?: \(bsl-1\.0\))?|bsl[ -]?1(?:\.0)?", "BSL-1.0"),
        (r"zope public(?: version)?(?: 2\.1)?|zpl[ -]?2\.1", "ZPL-2.1"),
        (r"artistic|artistic[- ]1(?:\.0)?(?:[- ]perl)?", "Artistic-1.0-Perl"),
        (r"artistic[- ]2(?:\.0)?", "Artistic-2.0"),
        (r"perl|perl[ -]?5|same as perl(?: itself)?", "Artistic-1.0-Perl OR GPL-1.0-or-later"),
        (r"eclipse public 1(?:\.0)?(?: \(epl-1\.0\))?|epl[ -]?1(?:\.0)?", "EPL-1.0"),
        (r"eclipse public 2(?:\.0)?(?: \(epl-2\.0\))?|epl[ -]?2(?:\.0)?", "EPL-2.0"),
        (r"academic free(?: \(afl\))?", "AFL-3.0"),
        (r"universal permissive(?: \(upl\))?", "UPL-1.0"),
        (r"university of illinois/ncsa open source|ncsa", "NCSA"),
        (r"wtfpl(?:[ -]?2)?|do what the f\w+ you want to public", "WTFPL"),
        (r"beer-?ware", "Beerware"),
        (r"bzip2", "bzip2-1.0.6"),
        (r"proprietary|unlicensed|commercial|other/proprietary|all rights reserved", "LicenseRef-Proprietary"),
    )
]  # fmt: skip
_TROVE = "License :: "
_NOISE = re.compile(r"\b(?:the|licen[sc]es?|licen[sc]ed|under|version|software license)\b|[,;]|\bv(?=\d)")


@lru_cache(maxsize=4096)
def spdx(name: str) -> str | None:
    """The SPDX expression that a name or an expression means; None where that is not known.

    `/` and a comma in lists mean OR and AND as Cargo and Debian read them; GPL-2.0 means GPL-2.0-only, as in SPDX.
    """
    name = " ".join(name.split())[:500]
    if not name:
        return None
    try:
        return _modern(canonicalize_license_expression(name))
    except InvalidLicenseExpression:
        pass
    if atom := _atom(name) or _atom(re.sub(r"\s*\([^()]*\)$", "", name)):  # "The MIT License (MIT)"
        return atom
    for operator in (r",? and/or | \| ", r", or ", r", and |, ", r" or | ?/ ?", r" and | & "):
        parts = re.split(operator, name, flags=re.IGNORECASE)
        if len(parts) > 1:
            return _joined(" AND " if "and |" in operator else " OR ", [spdx(part) for part in parts])
    return _with_exception(name)


def classifier(text: str) -> str | None:
    """The licence that one of PyPI's trove classifiers means; None where it means none or leaves it open."""
    if not text.startswith(_TROVE):
        return None
    leaf = text.split(" :: ")[-1]
    return None if leaf in ("OSI Approved", "Free for non-commercial use", "Freeware") else spdx(leaf)


def joined(operator: str, found: Iterable[str]) -> str:
    """Expressions as one; each once, in the order given. `operator` is AND or OR."""
    return _joined(f" {operator} ", list(found)) or UNKNOWN


def allowed(expression: str, allow: Iterable[str]) -> bool:
    """Whether an allow-list admits an expression: one side of an OR, all sides of an AND.

    The list holds SPDX identifiers, `permissive` for all of PERMISSIVE, `any` for whatever there is, and `unknown`. An
    exception (WITH) only adds permissions, so the licence alone decides.
    """
    names = {name.lower() for item in allow for name in (PERMISSIVE if item == "permissive" else (item,))}
    if "any" in names:
        return True
    tokens = re.findall(r"[()]|[^\s()]+", expression)
    return _any_of(tokens, names)


def _any_of(tokens: list[str], names: set[str]) -> bool:
    result = _all_of(tokens, names)
    while tokens and tokens[0] == "OR":
        tokens.pop(0)
        result = _all_of(tokens, names) or result
    return result


def _all_of(tokens: list[str], names: set[str]) -> bool:
    result = _one(tokens, names)
    while tokens and tokens[0] == "AND":
        tokens.pop(0)
        result = _one(tokens, names) and result
    return result


def _one(tokens: list[str], names: set[str]) -> bool:
    token = tokens.pop(0) if tokens else ""
    if token == "(":
        result = _any_of(tokens, names)
        if tokens:
            tokens.pop(0)
        return result
    if tokens and tokens[0] == "WITH":
        del tokens[:2]
    return token.lower() in names


def _joined(operator: str, parts: Sequence[str | None]) -> str | None:
    if not parts or None in parts:
        return None
    known = list(dict.fromkeys(part for part in parts if part))
    if len(known) > 1:
        known = [f"({part})" if re.search(" AND | OR ", part) else part for part in known]
    return operator.join(known)


def _modern(expression: str) -> str:
    """Without the identifiers that SPDX has withdrawn: GPL-2.0+ is GPL-2.0-or-later, GPL-2.0 is GPL-2.0-only."""
    expression = re.sub(r"\b((?:A|L)?GPL-\d\.\d|GFDL-\d\.\d)\+", r"\1-or-later", expression)
    expression = re.sub(r"\b((?:A|L)?GPL-\d\.\d|GFDL-\d\.\d)(?![\w.+-])", r"\1-only", expression)
    is_wrapped = expression.startswith("(") and expression.endswith(")") and "(" not in expression[1:]
    return expression[1:-1] if is_wrapped else expression


def _atom(name: str) -> str | None:
    lower = name.lower().strip(" .()\"'")
    gnu = _GNU.fullmatch(lower)
    if gnu and (gnu["version"] or gnu["later"]):
        version = gnu["version"] or "1"
        version = version if "." in version else f"{version}.0"
        kind = _KIND[gnu["kind"]]
        if kind == "LGPL" and gnu["version"] is None:
            version = "2.0"
        return f"{kind}-{version}-{'or-later' if gnu['later'] else 'only'}"
    bare = " ".join(_NOISE.sub(" ", lower).split())
    return next((spdx for pattern, spdx in _PATTERNS if pattern.fullmatch(bare)), None)


def _with_exception(name: str) -> str | None:
    """A licence with an exception that has no SPDX name: as a reference, so that nobody takes it for one that has."""
    licence, _, exception = re.sub(" with ", "\0", name, count=1, flags=re.IGNORECASE).partition("\0")
    known = spdx(licence) if exception else None
    if known is None or " " in known:
        return None
    spelled = re.sub(r"[^A-Za-z0-9.]+", "-", exception).strip("-")
    return f"{known} WITH {_EXCEPTIONS.get(spelled.lower(), 'LicenseRef-' + spelled)}"


_EXCEPTIONS = {
    "autoconf-exception": "Autoconf-exception-generic",
    "autoconf": "Autoconf-exception-generic",
    "autoconf-exception+": "Autoconf-exception-generic",
    "libtool-exception": "Libtool-exception",
    "libtool": "Libtool-exception",
    "bison-exception": "Bison-exception-2.2",
    "openssl-exception": "cryptsetup-OpenSSL-exception",
    "font-exception": "Font-exception-2.0",
    "classpath-exception": "Classpath-exception-2.0",
}
