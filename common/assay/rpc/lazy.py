"""Services that few call: what they take is loaded with the first call, so that a start does not wait for it."""

from collections.abc import Callable
from typing import Any

from assay.rpc.method import Handler, Service


class LazyService(Service):
    """Stands for the service of that full name until it is first called."""

    def __init__(self, name: str, load: Callable[[], Service]) -> None:
        super().__init__(name, {})
        self._load = load
        self._loaded: Service | None = None

    def service(self, handler_call_details: Any, /) -> Handler | None:  # noqa: ANN401 - grpc's type or ours
        """The handler of that method, or None."""
        if not handler_call_details.method.startswith(f"/{self.name}/"):
            return None
        return self.loaded().service(handler_call_details)

    def loaded(self) -> Service:
        """The service itself."""
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded
