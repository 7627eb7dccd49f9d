"""Books: plain text, EPUB, FictionBook, TEI, HTML."""
