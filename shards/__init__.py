"""Token shards: a self-describing Arrow format, its writer, reader, checks, and the order in which rows are read.

`shards.read.open(directory)` is the door for anyone who wants rows; `shards.write.write_shard` and
`shards.manifest.write_manifest` are the door for whoever makes them.
"""
