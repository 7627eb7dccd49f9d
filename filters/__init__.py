"""One document, or an Arrow batch of them, in; named values out. One file per family of signals."""
