"""Byte-level BPE: train, save, encode, measure."""
