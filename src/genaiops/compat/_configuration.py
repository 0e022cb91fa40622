"""`pf config`: a file of settings that is kept for the scripts that set and show them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genaiops.compat._run_file import set_dotted
from genaiops.errors import InputError

logger = logging.getLogger(__name__)

FILE = "pf.yaml"
_MEANING = {
    "telemetry.enabled": "nothing is ever sent, so there is nothing to turn off",
    "connection.provider": "connections come from variables, .env and files; see `genaiops connection list`",
    "trace.destination": "traces go to the run's folder, and to OTEL_EXPORTER_OTLP_ENDPOINT when it is set",
    "service.host": "there is no local service",
    "enable_internal_features": "there are none",
}


class Configuration:
    """Settings in `pf.yaml`, dotted keys.

    They are kept and shown. `run.output_path` says where `pf run create` writes a run in prompt flow's layout; setting
    one of the others says that it has no effect here.

    Args:
        folder: Where the file is; by default the state folder of the project.
    """

    def __init__(self, folder: Path | None = None, overrides: Mapping[str, Any] | None = None) -> None:
        self._folder = folder
        self._overrides = dict(overrides or {})

    @classmethod
    def get_instance(cls) -> Configuration:
        """The settings of this project."""
        return cls()

    @property
    def path(self) -> Path:
        """The file."""
        if self._folder is None:
            from genaiops.settings import load_settings

            self._folder = load_settings().state
        return self._folder / FILE

    def get_all(self) -> dict[str, Any]:
        """Everything that is set."""
        from genaiops.flows import load_yaml

        if not self.path.is_file():
            return dict(self._overrides)
        data = load_yaml(self.path).data
        return {**(data if isinstance(data, Mapping) else {}), **self._overrides}

    def get_config(self, key: str) -> Any:
        """The value of a dotted key, or None."""
        place: Any = self.get_all()
        for part in key.split("."):
            place = place.get(part) if isinstance(place, Mapping) else None
        return place

    def set_config(self, key: str, value: Any) -> str | None:
        """Set a dotted key.

        Returns:
            What to know about it, when it has no effect here.

        Raises:
            InputError: The key is empty.
        """
        from genaiops.compat._internals import dump_yaml_to_string

        if not all(key.split(".")):
            raise InputError(f"{key!r} is no key.", hint="Write KEY=VALUE, such as trace.destination=none.")
        form = {name: item for name, item in self.get_all().items() if name not in self._overrides}
        set_dotted(form, key, value)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(dump_yaml_to_string(form), encoding="utf-8")
        return _MEANING.get(key)

    def get_telemetry_consent(self) -> bool:
        """Nothing is sent, whatever is set."""
        return False
