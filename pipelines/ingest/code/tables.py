"""Makes the code reader's tables: languages from GitHub Linguist's data, texts of licences from the SPDX License List.

Both come as npm packages, named in PACKAGES with their versions: `npm pack` downloads them, or their .tgz files are
given by path. Writes languages.json and licences.json.gz beside this file, the same bytes for the same packages.

    python -m pipelines.ingest.code.tables linguist-languages-9.5.0.tgz spdx-license-list-6.12.0.tgz
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import tarfile
from pathlib import Path

import yaml

PACKAGES = ("linguist-languages@9.5.0", "spdx-license-list@6.12.0")
HERE = Path(__file__).resolve().parent

_NAMES = """
0BSD AFL-2.1 AFL-3.0 AGPL-3.0-only Apache-1.1 Apache-2.0 Artistic-1.0-Perl Artistic-2.0 Beerware BlueOak-1.0.0
BSD-1-Clause BSD-2-Clause BSD-2-Clause-Patent BSD-3-Clause BSD-3-Clause-Clear BSD-4-Clause BSD-4-Clause-UC
BSD-Source-Code BSL-1.0 BUSL-1.1 bzip2-1.0.6 CC-BY-3.0 CC-BY-4.0 CC-BY-NC-4.0 CC-BY-NC-SA-4.0 CC-BY-SA-3.0
CC-BY-SA-4.0 CC0-1.0 CDDL-1.0 CDDL-1.1 CECILL-2.1 CPL-1.0 curl ECL-2.0 EPL-1.0 EPL-2.0 EUPL-1.2 FSFAP FTL
GFDL-1.2-only GFDL-1.3-only GPL-1.0-only GPL-2.0-only GPL-3.0-only HPND HPND-sell-variant ICU IJG ISC JSON
LGPL-2.0-only LGPL-2.1-only LGPL-3.0-only Libpng libpng-2.0 MIT MIT-0 MIT-CMU MPL-1.0 MPL-1.1 MPL-2.0 MS-PL MS-RL
MulanPSL-2.0 NCSA NTP ODbL-1.0 OFL-1.1 OpenSSL OSL-3.0 PHP-3.01 PostgreSQL PSF-2.0 Python-2.0 QPL-1.0 Ruby SGI-B-2.0
SISSL SMLNJ SSPL-1.0 TCL Unicode-3.0 Unicode-DFS-2016 Unlicense UPL-1.0 Vim W3C WTFPL X11 XFree86-1.1 Zlib
zlib-acknowledgement ZPL-2.1 Elastic-2.0
"""
LICENCES = _NAMES.split()


def languages(package: tarfile.TarFile) -> dict[str, dict[str, object]]:
    """By name: type, extensions, filenames, interpreters, aliases, as Linguist's languages.yml has them."""
    found = {}
    for member in sorted(package.getnames()):
        if re.fullmatch(r"package/data/[^/]+\.js", member):
            module = _read(package, member)
            row = yaml.safe_load(module[module.index("{") :])  # the module is one literal, which YAML reads as well
            kept = ("type", "extensions", "filenames", "interpreters", "aliases")
            found[row["name"]] = {key: row[key] for key in kept if row.get(key)}
    return dict(sorted(found.items()))


def licences(package: tarfile.TarFile) -> dict[str, str]:
    """By SPDX identifier: the licence's text without what is optional or varies between copies."""
    names = {
        Path(name).stem: name for name in package.getnames() if re.fullmatch(r"package/licenses/[^/]+\.json", name)
    }
    withdrawn = {name: re.sub("-only$", "", name) for name in LICENCES}
    return {name: _fixed(json.loads(_read(package, names.get(name) or names[withdrawn[name]]))) for name in LICENCES}


def _fixed(licence: dict[str, str]) -> str:
    """The part that every copy has: not the advice on how to apply it, which follows the terms, nor the title."""
    text = licence["licenseText"]
    for end in ("END OF TERMS AND CONDITIONS", "How to Apply These Terms", "APPENDIX: How to apply"):
        text = text.split(end, 1)[0] if end in text else text
    text = re.sub(
        r"\bISC (?=DISCLAIMS|BE LIABLE)", "THE AUTHOR ", text
    )  # the holder's name in the licence of that name
    return re.sub(r"<[^<>\n]{1,60}>|\[[^\[\]\n]{1,60}\]", " ", text)


def _read(package: tarfile.TarFile, name: str) -> str:
    file = package.extractfile(name)
    assert file is not None
    return file.read().decode()


def main() -> None:
    """Write both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("linguist", type=Path, help=f"the package file of {PACKAGES[0]}")
    parser.add_argument("spdx", type=Path, help=f"the package file of {PACKAGES[1]}")
    arguments = parser.parse_args()
    with tarfile.open(arguments.linguist) as package:
        rows = [f"{json.dumps(name)}: {json.dumps(row)}" for name, row in languages(package).items()]
    (HERE / "languages.json").write_text("{\n" + ",\n".join(rows) + "\n}\n", "utf-8")
    with tarfile.open(arguments.spdx) as package:
        texts = json.dumps(licences(package))
    (HERE / "licences.json.gz").write_bytes(gzip.compress(texts.encode(), 9, mtime=0))


if __name__ == "__main__":
    main()
