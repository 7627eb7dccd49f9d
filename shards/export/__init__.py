"""Shards in the layouts that other trainers read: `shards.export.run.export` is the door.

One file per format, each written from the same batches of sequences (batches.py): rows as they are, or documents put
back together (documents.py).
"""
