"""Rule sets as YAML: `name: predicate`, a Spark SQL expression over `family.signal`; true drops the document."""
