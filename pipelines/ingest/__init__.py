"""Ingest: one reader per source format, each a Spark data source that yields documents and failures together."""
