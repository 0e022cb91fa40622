"""Fakes and conformance suites for people who write flows, connections, targets and registries."""

from genaiops.testing._model_server import ModelServer, ModelServerOptions, ModelServerStats

__all__ = ["ModelServer", "ModelServerOptions", "ModelServerStats"]
