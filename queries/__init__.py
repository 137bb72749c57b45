"""The catalog: schema, ingest, splits as .sql files, pinning, lints, inspection. Knows no pixels and no models."""
