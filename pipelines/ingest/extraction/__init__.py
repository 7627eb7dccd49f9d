"""Main text of web pages: the tree as arrays, features of its blocks, boosted trees, and the text of what stays."""
