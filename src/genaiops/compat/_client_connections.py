"""`PFClient().connections`: connections of this project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genaiops.compat._exceptions import ConnectionNotFoundError
from genaiops.errors import ConnectionSettingsError

if TYPE_CHECKING:
    from genaiops.connections import Connection, ConnectionStore, LocalConnections


class ConnectionOperations:
    """Connections from the environment, from files and from `create_or_update`."""

    def list(self, max_results: int | None = None, **_: Any) -> list[Connection]:
        """Connections that are complete, by name."""
        store = self._store()
        found = []
        for name in store.names():
            try:
                found.append(store.get(name))
            except ConnectionSettingsError:
                continue
        return found[:max_results]

    def get(self, name: str, **_: Any) -> Connection:
        """The connection of this name, secrets included.

        Raises:
            ConnectionNotFoundError: There is none.
        """
        try:
            return self._store().get(name)
        except ConnectionSettingsError as error:
            if error.kind == "ConnectionNotFoundError":
                raise ConnectionNotFoundError(
                    f"Connection {name!r} is not found. {error.hint or ''}".strip()
                ) from error
            raise

    def create_or_update(self, connection: Connection, **_: Any) -> Connection:
        """Keep a connection in the project's state folder; its secrets in a file that only you can read."""
        form = connection.to_execution_dict()
        name = connection.name or ""
        self._local().create({"name": name, "type": form["type"], **_written(form)})
        return self.get(name)

    def delete(self, name: str) -> None:
        """Forget a connection that was kept.

        Raises:
            ConnectionNotFoundError: None of this name is kept.
        """
        try:
            self._local().delete(name)
        except ConnectionSettingsError as error:
            raise ConnectionNotFoundError(str(error)) from error

    def _store(self) -> ConnectionStore:
        from genaiops.compat._surroundings import open_settings, open_store

        return open_store(open_settings())

    def _local(self) -> LocalConnections:
        from genaiops.compat._surroundings import open_settings
        from genaiops.connections import LocalConnections

        return LocalConnections(open_settings().state)


def _written(form: dict[str, Any]) -> dict[str, Any]:
    """The fields of a connection as a connection file holds them."""
    values, secrets = form["value"], set(form["secret_keys"])
    if form["type"] != "CustomConnection":
        return dict(values)
    return {
        "configs": {key: value for key, value in values.items() if key not in secrets},
        "secrets": {key: value for key, value in values.items() if key in secrets},
    }
