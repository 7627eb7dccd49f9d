"""Duplicates: exact ones, near ones, clusters of them, and who of them stays."""
