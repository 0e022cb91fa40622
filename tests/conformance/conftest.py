"""`promptflow` as flow code imports it, for flows that are opened in this process."""

from tests.flows.conftest import promptflow_imports

__all__ = ["promptflow_imports"]
