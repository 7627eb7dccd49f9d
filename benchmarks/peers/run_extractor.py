"""Pages through one extractor, in this process: `python run_extractor.py NAME PAGES TEXTS TIMED`.

NAME: gristmill, fast (Resiliparse), visible (all text, Resiliparse), or trafilatura, trafilatura-fast,
trafilatura-precision, which need nothing else installed. PAGES and TEXTS are pickles: pages as bytes, and their texts.
Prints JSON: milliseconds of the wall clock a page, over the first TIMED pages, after WARM_UP of them.
"""

from __future__ import annotations

import json
import pickle
import sys
import time
from collections.abc import Callable
from pathlib import Path

WARM_UP = 20


def extractor(name: str) -> Callable[[bytes], str]:
    if name.startswith("trafilatura"):
        from trafilatura import extract

        options = {"fast": name.endswith("fast"), "favor_precision": name.endswith("precision")}
        return lambda body: extract(body, include_comments=False, **options) or ""
    if name == "visible":
        from resiliparse.extract.html2text import extract_plain_text

        from pipelines.ingest.extraction.charset import decode_page

        return lambda body: extract_plain_text(decode_page(body, None).text, main_content=False, alt_texts=False)
    from pipelines.ingest.web.html import Extractor

    extract_page = Extractor(name)  # type: ignore[arg-type]
    return lambda body: extract_page(body).text or ""


def main(name: str, pages: Path, texts: Path, timed: int) -> None:
    bodies = pickle.loads(pages.read_bytes())
    extract = extractor(name)
    for body in bodies[:WARM_UP]:
        extract(body)
    start = time.perf_counter()
    found = [extract(body) for body in bodies[:timed]]
    milliseconds = 1000 * (time.perf_counter() - start) / timed
    found += [extract(body) for body in bodies[timed:]]
    texts.write_bytes(pickle.dumps(found))
    print(json.dumps({"ms_per_page": round(milliseconds, 3)}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
