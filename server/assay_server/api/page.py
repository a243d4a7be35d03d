"""Pages as requests ask for them."""

from typing import Protocol

from assay_server.datastore.base import Page


class Paged(Protocol):
    """A request that may ask for a page."""

    @property
    def page_size(self) -> int:
        """At most so many; 0 or less for all."""
        ...

    @property
    def page_token(self) -> str:
        """Where to go on, from an earlier answer."""
        ...


def page_from_proto(request: Paged) -> Page:
    """The page; all there is if the request asks for none, whatever its token."""
    return Page(request.page_size, request.page_token) if request.page_size > 0 else Page()
