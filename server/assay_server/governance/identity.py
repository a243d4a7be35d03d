"""Whose a SPIFFE ID is."""

from assay.spiffeid import SpiffeId
from assay_server.datastore.base import Transaction
from assay_server.model.governed.principal import INSTANCE


def principal_of(tx: Transaction, spiffe_id: SpiffeId) -> str | None:
    """The principal that it is an instance of, or that all copies share it of; None for identities of no principal.

    Withheld bindings count for nothing, so that the identities of a suspended principal are nobody's.
    """
    instance = tx.governed.get(INSTANCE, str(spiffe_id))
    if instance is not None:
        return instance.principal if tx.entries.principal_by(instance.entry_id) == instance.principal else None
    names = tx.entries.principals_at(spiffe_id)
    return next(iter(names)) if len(names) == 1 else None
