"""How fast documents are measured: our signals, our whole annotate pass, and datatrove 0.10.1's filters, one core each.

The texts are 2,501 web pages (peers/texts.py), the same for all. Programs run one after another in this run, each in a
process of its own that is held to one core. Figures are of processor time, so that other work on the machine says
little; `*_clock_mb_per_second` are by the wall clock.

- `ratio`: documents a second of ours over datatrove's, each with every rule of FineWeb's four filters (Gopher's
  repetition and quality, C4's, FineWeb's own) on every document, line edits included; `ratio_chain` with datatrove as
  its users run it, where a document that one rule drops goes no further. Both read their texts from memory.
- `signals_mb_per_second`: all signals of Gopher, C4 and FineWeb; wanted: 15.
- `annotate_mb_per_second`: the annotate pass with everything on but Detoxify, from Parquet on; wanted: 3. Models of
  learned quality, importance and word frequencies are made of the pages first; there are no URL lists.
- `memory_*`: peak memory of the annotate pass over N documents and over ten times as many; its growth; wanted: 1.1 at
  most. The allocator keeps some of what is freed; `--times` sets N.
- `large_*`: one document of 100 MB (pages and novels, over and over) through the annotate pass.

Lines that miss what is wanted are listed in `missed`, and the status is 1. The last line is a JSON object.
"""

import sys
from pathlib import Path

# Scripts of this folder find this file where they import the package `filters`; as a module, it is that package.
__path__ = [str(Path(__file__).parents[1] / "filters")]

if __name__ == "__main__":
    from peers.filter_speed import main

    sys.exit(main(__doc__.partition("\n")[0]))
