import gzip
import json
from importlib.metadata import distributions
from importlib.resources import files

import pytest

from pipelines.ingest.code import debian, headers, manifests
from pipelines.ingest.code.licence_names import PERMISSIVE, allowed, classifier, spdx
from pipelines.ingest.code.licence_texts import recognise
from pipelines.ingest.code.licences import Licences, is_evidence

TEXTS = json.loads(gzip.decompress(files("pipelines.ingest.code").joinpath("licences.json.gz").read_bytes()))
BSD3 = TEXTS["BSD-3-Clause"]
GPL2_NOTICE = """/*
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU General Public
 * License as published by the Free Software Foundation; either version 2 of the License, or (at your option) any later
 * version. You should have received a copy of the GNU General Public License along with this program.
 */
int main(void) { return 0; }
"""


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_each_text_is_recognised_alone(name: str):
    assert [found.licence for found in recognise(TEXTS[name])] == [name]


def test_texts_are_recognised_whatever_varies_between_copies():
    mill = "Copyright (c) 2019, A. Miller\nAll rights reserved.\n\n" + BSD3.replace(
        "THE COPYRIGHT HOLDERS", "A. MILLER"
    )
    wrapped = "\n".join(f" * {line}" for line in mill.replace(", ", ",\n").splitlines())
    assert [found.licence for found in recognise(mill)] == ["BSD-3-Clause"]
    assert [found.licence for found in recognise(wrapped)] == ["BSD-3-Clause"]
    assert recognise("A story of a mill. " * 500) == ()
    assert recognise(BSD3[: len(BSD3) // 2]) == ()


def test_several_texts_in_the_order_in_which_they_begin():
    found = recognise(f"{TEXTS['MIT']}\n\nThis software holds parts under:\n\n{BSD3}\n\n{TEXTS['GPL-3.0-only']}")
    assert [one.licence for one in found] == ["MIT", "BSD-3-Clause", "GPL-3.0-only"]
    assert found[0].start < 200


def test_licences_of_installed_packages_are_what_their_metadata_say():
    """Real licence files: of each distribution that names one licence by its SPDX identifier."""
    checked = 0
    for distribution in distributions():
        said = distribution.metadata.get("License-Expression")
        paths = [path for path in distribution.files or [] if is_evidence(str(path)) and ".dist-info/" in str(path)]
        texts = [(str(path), path.locate().read_text("utf-8", "replace")) for path in paths if path.locate().exists()]
        if said in TEXTS and any(recognise(text) for _, text in texts):
            checked += 1
            assert Licences(texts).of("package/module.py").expression == said, distribution.metadata["Name"]
    assert checked > 10


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mit", "MIT"),
        ("The MIT License (MIT)", "MIT"),
        ("Expat", "MIT"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("new BSD", "BSD-3-Clause"),
        ("BSD", "LicenseRef-BSD"),
        ("GPL-2.0", "GPL-2.0-only"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("GPL-2+", "GPL-2.0-or-later"),
        ("LGPLv2+", "LGPL-2.0-or-later"),
        ("GNU Affero General Public License v3", "AGPL-3.0-only"),
        ("GNU Lesser General Public License v2.1 or later (LGPLv2+)", "LGPL-2.1-or-later"),
        ("MIT/Apache-2.0", "MIT OR Apache-2.0"),
        ("(MIT OR CC0-1.0)", "MIT OR CC0-1.0"),
        ("Artistic or GPL-1+", "Artistic-1.0-Perl OR GPL-1.0-or-later"),
        ("GPL-2+, LGPL-2.1+", "GPL-2.0-or-later AND LGPL-2.1-or-later"),
        ("GPL-2+ with Autoconf exception", "GPL-2.0-or-later WITH Autoconf-exception-generic"),
        ("mit or gpl-2.0-only with classpath-exception-2.0", "MIT OR GPL-2.0-only WITH Classpath-exception-2.0"),
        ("SEE LICENSE IN LICENSE.md", None),
        ("GPL", None),
        ("", None),
        ("(" * 400, None),
        ("or " * 170, None),
    ],
)
def test_names(name: str, expected: str | None):
    assert spdx(name) == expected


def test_classifiers():
    assert classifier("License :: OSI Approved :: Apache Software License") == "Apache-2.0"
    assert (
        classifier("License :: OSI Approved :: GNU General Public License v3 or later (GPLv3+)") == "GPL-3.0-or-later"
    )
    assert classifier("License :: OSI Approved") is None
    assert classifier("Topic :: Software Development") is None


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("(GPL-3.0-only AND MIT) OR BSD-3-Clause", True),
        ("(GPL-3.0-only OR MIT) AND (ISC OR AGPL-3.0-only)", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0 AND MIT", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_the_permissive_list(expression: str, expected: bool):
    assert allowed(expression, ["permissive"]) is expected
    assert allowed(expression, ["any"])


def test_every_permissive_licence_is_spelled_as_spdx_has_it():
    assert {name for name in PERMISSIVE if spdx(name) != name} == set()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# SPDX-License-Identifier: MIT\nx = 1\n", "MIT"),
        ("/* SPDX-License-Identifier: GPL-2.0+ OR BSD-3-Clause */\n", "GPL-2.0-or-later OR BSD-3-Clause"),
        ("<!-- SPDX-License-Identifier: ISC -->\n", "ISC"),
        ("print('SPDX-License-Identifier: MIT')\n", None),
        (GPL2_NOTICE, "GPL-2.0-or-later"),
        ("# Licensed under the Apache License, Version 2.0 (the\n# License).\n", "Apache-2.0"),
        ('"""A mill.\n\nReleased under the MIT license.\n"""\n', "MIT"),
        ("// This file is in the public domain.\n", "LicenseRef-Public-Domain"),
        ("; Dual licensed under the MIT license or the GPL v3+ license.\n", "MIT OR GPL-3.0-or-later"),
        ("# The parser is licensed under the BSD-3-Clause License.\n", None),
        ("# This file is distributed under the same license as the mill package.\n", None),
        ("# Use of this source code is governed by a BSD-style license, see LICENSE.\n", None),
        ("x = 1\ny = 2\nz = 3\na = 4\nb = 5\nc = 6\n# Released under the MIT license.\n", None),
        ("x = 'Released under the MIT license.'\n", None),
        ("\n".join(f"// {line}" for line in TEXTS["MIT"].splitlines()), "MIT"),
        ("/*\n" * 100_000, None),
        ("", None),
    ],
)
def test_headers(text: str, expected: str | None):
    assert headers.licence_in(text) == expected


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("METADATA", "Name: mill\nLicense-Expression: MIT OR Apache-2.0\n\nLicense: GPL", "MIT OR Apache-2.0"),
        ("PKG-INFO", "Name: mill\nClassifier: License :: OSI Approved :: MIT License\n\n", "MIT"),
        ("pyproject.toml", '[project]\nlicense = "BSD-3-Clause"\n', "BSD-3-Clause"),
        ("pyproject.toml", '[project]\nlicense = {text = "Apache 2.0"}\n', "Apache-2.0"),
        ("package.json", '{"license": "ISC"}', "ISC"),
        ("package.json", '{"licenses": [{"type": "MIT"}, {"type": "GPL-2.0"}]}', "MIT OR GPL-2.0-only"),
        ("Cargo.toml", '[package]\nlicense = "MIT/Apache-2.0"\n', "MIT OR Apache-2.0"),
        ("mill.gemspec", "  s.licenses = ['MIT']\n", "MIT"),
        ("pom.xml", "<license>\n<name>Apache License, Version 2.0</name>", "Apache-2.0"),
        ("package.json", "[1, 2]", None),
        ("package.json", "[" * 100_000, None),
        ("Cargo.toml", "not toml", None),
        ("PKG-INFO", "\0\n\n", None),
    ],
)
def test_manifests(path: str, text: str, expected: str | None):
    said = manifests.licence_in(path, text)
    assert (said.licence if said else None) == expected


def licences(*evidence: tuple[str, str]) -> Licences:
    assert all(is_evidence(path) for path, _ in evidence)
    return Licences(evidence)


def test_the_nearest_licence_file_counts():
    found = licences(("p/LICENSE", BSD3), ("p/vendor/grain/LICENSE.txt", TEXTS["MIT"]))
    assert found.of("p/src/mill.c") == ("BSD-3-Clause", "p/LICENSE")
    assert found.of("p/vendor/grain/src/grain.c") == ("MIT", "p/vendor/grain/LICENSE.txt")
    assert found.of("p/vendor/other/x.c").expression == "BSD-3-Clause"
    assert found.of("elsewhere/x.c") == ("unknown", "")
    assert found.of("p/src/mill.c", GPL2_NOTICE) == ("GPL-2.0-or-later", "header")


def test_a_manifest_counts_where_it_says_more_than_the_text_beside_it():
    assert licences(("LICENSE", TEXTS["MIT"]), ("package.json", '{"license": "ISC"}')).of("a.js").expression == "MIT"
    gnu = ("COPYING", TEXTS["GPL-3.0-only"])
    later = licences(gnu, ("Cargo.toml", '[package]\nlicense = "GPL-3.0-or-later"'))
    assert later.of("a.rs") == ("GPL-3.0-or-later", "Cargo.toml")
    both = licences(("LICENSE-MIT", TEXTS["MIT"]), ("LICENSE-APACHE", TEXTS["Apache-2.0"]))
    assert both.of("a.rs").expression == "Apache-2.0 OR MIT"
    assert licences(gnu, ("COPYING.LESSER", TEXTS["LGPL-3.0-only"])).of("a.c").expression == "GPL-3.0-only"


def test_paths_that_a_licence_file_names():
    text = f"{BSD3}\n-----\nThe files under the directory p/latex\nare licensed as:\n\n{TEXTS['MIT']}"
    found = licences(("p-1.0/LICENSE", text))
    assert found.of("p-1.0/p/core.py").expression == "BSD-3-Clause"
    assert found.of("p-1.0/p/latex/deep/x.py").expression == "MIT"
    assert found.of("p-1.0/p/latexes/x.py").expression == "BSD-3-Clause"


def test_metadata_and_folders_of_texts_are_about_the_folder_above():
    wheel = licences(("mill-1.dist-info/METADATA", "License-Expression: ISC\n\n"))
    assert wheel.of("mill/a.py").expression == "ISC"
    assert licences(("p/LICENSES/MIT.txt", TEXTS["MIT"])).of("p/a.py").expression == "MIT"


def test_a_readme_that_speaks_of_its_folder():
    readme = "# Icons\n\nAll icons in this directory are licensed under the MIT license.\n"
    found = licences(
        ("LICENSE", BSD3), ("icons/README.md", readme), ("src/README.md", "Licensed under the MIT license.")
    )
    assert found.of("icons/a.svg").expression == "MIT"
    assert found.of("src/a.py").expression == "BSD-3-Clause"


COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: mill

Files: *
Copyright: 2020 A
License: BSD-3-clause

Files: src/*.c
       lib/?.h
Copyright: 2020 B
License: GPL-2+ or Expat

Files: src/own.c
Copyright: 2020 C
License: own-terms

License: own-terms
 Permission is granted to grind.
"""


def test_debian_copyright():
    found = licences(
        ("p/debian/copyright", COPYRIGHT), ("p/COPYING", TEXTS["GPL-2.0-only"]), ("p/x/COPYING", TEXTS["MIT"])
    )
    assert found.of("p/a.py") == ("BSD-3-Clause", "p/debian/copyright")
    assert found.of("p/src/deep/a.c").expression == "GPL-2.0-or-later OR MIT"
    assert found.of("p/src/own.c").expression == "LicenseRef-own-terms"
    assert found.of("p/lib/aa.h").expression == "BSD-3-Clause"
    assert found.of("p/x/a.py").expression == "MIT"  # nearer than a paragraph on everything else
    assert debian.stanzas("This package was debianized by A. Miller.\n") == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("LICENSE", True),
        ("a/COPYING.LESSER", True),
        ("MIT-LICENSE.txt", True),
        ("UNLICENSE", True),
        ("LICENSES/MIT.txt", True),
        ("licence.md", True),
        ("license.py", False),
        ("src/licenses/parser.go", False),
        ("licensing_test.c", False),
        ("a/package.json", True),
        ("debian/copyright", True),
        ("main.c", False),
    ],
)
def test_what_is_evidence(path: str, expected: bool):
    assert is_evidence(path) is expected
