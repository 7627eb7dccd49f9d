"""The licence of each file of a tree, by the best evidence that there is for it.

From the strongest to the weakest: the file's own header; debian/copyright (or REUSE's .reuse/dep5); a path that a
licence file names ("The files under the directory X are licensed as: ..."); then the nearest folder upwards that holds
a licence file or a manifest with a licence. In a folder, the text of its licence file counts before a manifest's word
(`npm init` writes ISC into every package.json), unless the manifest's expression holds that licence and says more:
GPL-2.0-or-later beside the text of the GPL, MIT OR Apache-2.0 beside that of the MIT licence.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from typing import NamedTuple

from pipelines.ingest.code import debian, headers, manifests
from pipelines.ingest.code.licence_names import ANY_BSD, UNKNOWN, joined
from pipelines.ingest.code.licence_texts import Found, recognise

MOST_BYTES = 1_000_000
"""Of a licence file or a manifest; longer ones are no evidence."""

_LICENCE_FILE = re.compile(
    r"(?:mit[-_])?(?:un)?(?:licen[sc]es?|copying|copyright)(?:[-_. ].*)?|(?:.*[-_.])licen[sc]e(?:\.(?:txt|md|rst))?"
    r"|ofl(?:\.txt)?|patents",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"(?:un)?(?:licen[sc]e|copying)(?:\.(?:txt|md|rst|markdown|html?|apache2?))?", re.IGNORECASE)
_CODE = re.compile(
    r"\.(?:py|pyi|js|ts|tsx|jsx|c|h|cc|cpp|go|rs|java|rb|php|pl|pm|sh|json|ya?ml|xml|css|po|svg|png|jpe?g|gif|html?\.\w+)$",
    re.IGNORECASE,
)
_TEXTS_OF_TREE = re.compile(r"(?:^|/)(?:licen[sc]es?|copying)$", re.IGNORECASE)  # folders that hold nothing else
_METADATA = re.compile(r"\.(?:dist-info|egg-info|data)$|(?:^|/)(?:EGG-INFO|debian|\.reuse)$")
_PATH = re.compile(r"(?<![\w/.-])(?:\./)?((?:[\w.+-]+/)+[\w.+-]*)")
_URL = re.compile(r"\w+://\S+")
_DUAL = re.compile(r"\bdual[- ]licen|\bunder (?:the terms of )?either\b|\byour (?:choice|option)\b", re.IGNORECASE)
_README = re.compile(r"readme(?:\.(?:md|rst|txt|markdown))?", re.IGNORECASE)
_ALL_HERE = re.compile(r"\ball (?:of )?(?:the )?(?:\w+ ){0,2}in this (?:directory|folder)\b", re.IGNORECASE)
_INTRODUCTION = 600  # characters before a licence's text in which paths are looked for


class Licence(NamedTuple):
    """An SPDX expression (or `unknown`), and what told it: `header`, or the path of a file of the tree."""

    expression: str
    told_by: str


def is_evidence(path: str) -> bool:
    """Whether a file may tell the licence of other files: a licence file, a manifest, debian/copyright."""
    name = posixpath.basename(path)
    return bool(manifests.is_manifest(path) or _is_licence_file(path) or _is_dep5(path) or _README.fullmatch(name))


class Licences:
    """The licences of a tree whose evidence is `files`: pairs of a path and the text there."""

    def __init__(self, files: Iterable[tuple[str, str]]) -> None:
        self.folders: dict[str, Licence] = {}
        self.paths: dict[str, Licence] = {}  # files and folders that a licence file names
        self.stanzas: list[tuple[str, str, list[debian.Stanza]]] = []  # root with its slash, file, paragraphs
        evidence: dict[str, list[tuple[str, str]]] = {}
        for path, text in sorted(files):
            if _is_dep5(path) and (found := debian.stanzas(text)):
                root = posixpath.dirname(posixpath.dirname(path))
                self.stanzas.append((f"{root}/" if root else "", path, found))
            else:
                evidence.setdefault(_folder(path), []).append((path, text))
        self.stanzas.sort(key=lambda one: (one[0].count("/"), one))  # the whole tree's before a part's
        for folder, texts in evidence.items():
            if licence := self._of_folder(folder, texts):
                self.folders[folder] = licence

    def of(self, path: str, text: str = "") -> Licence:
        """The licence of a file; `text` is its own, whose header counts first."""
        listed, rest = self._listed(path)
        near, folder = self._near(path)
        is_nearer = rest is not None and folder.startswith(rest) and folder != rest
        known = near if listed is None or is_nearer else listed
        if text and not _is_licence_file(path) and (header := headers.licence_in(text)):
            if ANY_BSD in header and (bsd := re.search(r"BSD-\d-Clause", f"{known.expression} {near.expression}")):
                header = header.replace(ANY_BSD, bsd[0])
            return Licence(header, "header")
        return known

    def _listed(self, path: str) -> tuple[Licence | None, str | None]:
        """What debian/copyright says of a file; and, where only its paragraph on all files does, below which folder.

        Such a paragraph is about the root; a licence file further down says more of its own folder.
        """
        for root, told_by, stanzas in self.stanzas:
            if path.startswith(root):
                for stanza in reversed(stanzas):
                    if stanza.files.fullmatch(path[len(root) :]):
                        return Licence(stanza.licence, told_by), root if stanza.is_rest else None
        return None, None

    def _near(self, path: str) -> tuple[Licence, str]:
        """What the nearest licence file or manifest upwards says, and its folder with a slash (or no folder: empty)."""
        place = path
        while place:
            if place in self.paths:
                return self.paths[place], f"{place}/"
            place = posixpath.dirname(place)
            if place in self.folders and place not in self.paths:
                return self.folders[place], f"{place}/"
        return Licence(UNKNOWN, ""), ""

    def _of_folder(self, folder: str, files: list[tuple[str, str]]) -> Licence | None:
        texts = {path: text for path, text in files if _is_licence_file(path)}
        plain = [path for path in texts if _PLAIN.fullmatch(posixpath.basename(path))]
        by_text = self._by_texts(folder, {path: texts[path] for path in plain})
        by_text = by_text or self._by_texts(folder, {path: text for path, text in texts.items() if path not in plain})
        said = sorted(
            (found.rank, _order(path), path, found.licence)
            for path, text in files
            if (found := manifests.licence_in(path, text))
        )
        by_manifest = Licence(said[0][3], said[0][2]) if said else None
        if not by_text and not by_manifest:
            return next((licence for path, text in files if (licence := _by_readme(path, text))), None)
        if by_text and by_manifest and _says_more(by_manifest.expression, by_text.expression):
            return by_manifest
        return by_text or by_manifest

    def _by_texts(self, folder: str, texts: dict[str, str]) -> Licence | None:
        """The licence that a folder's licence files spell out, or name; one may choose between several files."""
        found = {path: expression for path, text in texts.items() if (expression := self._by_text(folder, path, text))}
        if not found:
            return None
        expressions = set(found.values())
        lesser = sorted(one for one in expressions if one.startswith("LGPL-3"))
        if lesser and all(one.startswith(("LGPL-3", "GPL-3")) for one in expressions):
            expressions = {lesser[0]}  # the LGPL's version 3 is a supplement to the GPL, whose text lies beside it
        first = min(found)
        return Licence(joined("OR", sorted(expressions)), first)

    def _by_text(self, folder: str, path: str, text: str) -> str | None:
        found = recognise(text)
        if not found:
            named = headers.notices(headers.words(text[:4000]))
            return joined("OR" if _DUAL.search(text) else "AND", named) if named else None
        own: list[Found] = []
        for one in found:
            before = _URL.sub(" ", text[max(0, one.start - _INTRODUCTION) : one.start]) if one is not found[0] else ""
            about = [match.rstrip("/.") for match in _PATH.findall(before)]
            for inner in about:
                self.paths[posixpath.join(folder, inner)] = Licence(one.licence, path)
            if not about:
                own.append(one)
        if len(own) > 1 and _DUAL.search(text[: own[0].start]):
            return joined("OR", [one.licence for one in own])
        return own[0].licence  # what comes after it is of parts that are bundled


def _by_readme(path: str, text: str) -> Licence | None:
    """What a README says of all files in its folder: "All icons in this directory are licensed under ..."."""
    match = _ALL_HERE.search(text) if _README.fullmatch(posixpath.basename(path)) else None
    named = headers.notices(headers.words(text[match.start() : match.start() + _INTRODUCTION])) if match else []
    return Licence(joined("AND", named), path) if named else None


def _says_more(manifest: str, text: str) -> bool:
    """Whether an expression holds the licence of a text, or the same with another word on later versions."""
    stem = re.sub(r"-(?:only|or-later)$", "", text)
    atoms = re.findall(r"[^\s()]+", manifest)
    if text == "Python-2.0" and "PSF-2.0" in atoms:  # which is the first of the texts that it is made of
        return True
    return manifest != text and any(re.sub(r"-(?:only|or-later)$", "", atom) == stem for atom in atoms)


def _order(path: str) -> int:
    name = posixpath.basename(path)
    known = (name, posixpath.splitext(name)[1])
    return next((number for number, one in enumerate(manifests.RANKED) if one in known), len(manifests.RANKED))


def _folder(path: str) -> str:
    """The folder that a piece of evidence is about: x/LICENSES/MIT.txt and x/y.dist-info/METADATA are about x."""
    folder = posixpath.dirname(path)
    if _TEXTS_OF_TREE.search(folder):
        folder = posixpath.dirname(folder)
    return posixpath.dirname(folder) if _METADATA.search(folder) else folder


def _is_licence_file(path: str) -> bool:
    name = posixpath.basename(path)
    if _TEXTS_OF_TREE.search(posixpath.dirname(path)) and not _CODE.search(name):
        return True
    return _LICENCE_FILE.fullmatch(name) is not None and not _CODE.search(name)


def _is_dep5(path: str) -> bool:
    return path.endswith(("/debian/copyright", "/.reuse/dep5")) or path in ("debian/copyright", ".reuse/dep5")
