"""The child process a flow runs in: `python -m genaiops.host`.

It stands on top of the ladder because it wires the import layer, the engine, connections and the server; lower rooms
start it by name. Nothing is imported here, so that a host is ready soon.
"""

__all__: list[str] = []
