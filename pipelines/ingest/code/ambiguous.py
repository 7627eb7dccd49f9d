"""Extensions that several languages share, told apart by what only one of them writes (`ambiguous.yaml`)."""

from __future__ import annotations

import re
from importlib.resources import files

import yaml

_C_PLUS_PLUS = (
    r"^\s*(?:template\s*<|(?:public|private|protected)\s*(?:\w+\s*)?:|using\s+(?:namespace\s+)?[\w:]+"
    r"|namespace\b[^;]*\{?\s*$|class\s+(?:\w+\s+)*\w+\s*(?:final\s*)?[:{;]|enum class\b|constexpr\b|inline namespace\b)"
    r"|\bstd::|\b(?:static|dynamic|reinterpret|const)_cast\s*<"
    r"|^\s*#\s*include\s*<(?:c?std\w+|c\w+|string|vector|map|set|memory|iostream|utility|functional|algorithm|array|tuple"
    r"|type_traits|unordered_\w+|sstream|ostream|istream|atomic|mutex|thread|chrono|optional|variant|initializer_list"
    r"|deque|list|queue|stack|limits|numeric|iterator|exception|stdexcept)>"
    r"|\boperator\s*[^\w\s]|\bvirtual\s|\bdelete\s+\w|\bnew\s+\w+[(;\[]|\b\w+::\w+|\bnoexcept\b|\bnullptr\b"
)
_MANUAL = re.compile(r"^\.(?:TH|Dd|Dt|SH|Sh)\s", re.MULTILINE)
_RULES = {
    extension: (
        [(language, re.compile(pattern, re.MULTILINE)) for language, pattern in row.items() if language != "default"],
        row["default"],
    )
    for extension, row in yaml.safe_load(
        files("pipelines.ingest.code").joinpath("ambiguous.yaml").read_text("utf-8")
    ).items()
}
_BLANKS, _END = re.compile(r"[ \t\f\v\r]+"), re.compile(r" ?\n[ \n]*")
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_IS_C_PLUS_PLUS = re.compile(_C_PLUS_PLUS, re.MULTILINE)
_C_GUARD = re.compile(r"#\s*ifdef\s+__cplusplus")
_FIRST = ("Python", "C", "C++", "Java", "JavaScript", "TypeScript", "Go", "Rust", "Perl", "PHP", "Ruby", "Shell",
          "HTML", "XML", "JSON", "YAML", "SQL", "Text")  # fmt: skip


def choose(extension: str, candidates: list[str], head: str) -> str | None:
    """Which of `candidates`, the languages that share an extension, a file is in by its beginning; None for none."""
    head = _END.sub("\n", _BLANKS.sub(" ", head))  # so that no filter takes long over white space
    if re.fullmatch(r"\.[1-9]\w{0,2}", extension):
        return _manual(candidates, head)
    if extension == ".h":
        return _header(candidates, head)
    filters, default = _RULES.get(extension, ([], ""))
    for language, pattern in filters:
        if language in candidates and pattern.search(head):
            return language
    if default is None or default in candidates:
        return default
    return next((language for language in _FIRST if language in candidates), candidates[0])


def _manual(candidates: list[str], head: str) -> str:
    return "Roff Manpage" if "Roff Manpage" in candidates and _MANUAL.search(head) else "Roff"


def _header(candidates: list[str], head: str) -> str:
    """C headers are also C++'s; what they guard for C++ (`extern "C"`) does not make them C++."""
    objective = _RULES[".h"][0][0][1]
    if "Objective-C" in candidates and objective.search(head):
        return "Objective-C"
    bare = _COMMENT.sub(" ", head)
    if _C_GUARD.search(bare):
        bare = re.sub(r"#\s*ifdef\s+__cplusplus.*?#\s*(?:endif|else)", " ", bare, flags=re.DOTALL)
    return "C++" if _IS_C_PLUS_PLUS.search(bare) else "C"
