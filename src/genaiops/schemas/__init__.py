"""The published JSON Schemas: one file for each form that commands print or write, and one for `experiment.yaml`."""

from genaiops.schemas._load import load_schema, schema_names

__all__ = ["load_schema", "schema_names"]
