"""Registration of governed identities put together: loaded with the first call of one of its services."""

from assay.clock import Clock
from assay.rpc.method import Service
from assay.spiffeid import TrustDomain
from assay.wire.governance import CATALOGUE, OWNERS, PRINCIPALS
from assay.wire.service import served
from assay_server.api.catalogue import CatalogueApi
from assay_server.api.owners import OwnersApi
from assay_server.api.principals import PrincipalsApi
from assay_server.datastore.base import Store
from assay_server.governance.bindings import BindingService
from assay_server.governance.catalogue import GRANTS, RESOURCES, TOOLS, CatalogueService
from assay_server.governance.inventory import Inventory
from assay_server.governance.owners import OwnerService
from assay_server.governance.principals import PrincipalService
from assay_server.governance.sweeper import Sweeper


class Registration:
    """Its services, and the sweeper that runs beside them."""

    def __init__(self, store: Store, clock: Clock, trust_domain: TrustDomain) -> None:
        self._store = store
        self._clock = clock
        self._trust_domain = trust_domain
        self.sweeper = Sweeper(store, clock)

    def owners(self) -> Service:
        """Who answers for principals."""
        return served(OWNERS, OwnersApi(OwnerService(self._store, self._clock, self.sweeper.ask)))

    def principals(self) -> Service:
        """Governed identities and their bindings."""
        principals = PrincipalService(self._store, self._clock, self._trust_domain)
        bindings = BindingService(self._store, self._clock, self._trust_domain)
        return served(PRINCIPALS, PrincipalsApi(principals, bindings, Inventory(self._store, self._clock)))

    def catalogue(self) -> Service:
        """What may be acted on."""
        resources = CatalogueService(RESOURCES, self._store, self._clock)
        tools = CatalogueService(TOOLS, self._store, self._clock)
        grants = CatalogueService(GRANTS, self._store, self._clock)
        return served(CATALOGUE, CatalogueApi(resources, tools, grants))
