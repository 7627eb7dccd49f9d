"""Tables, dialogue and databases: one document a row."""
