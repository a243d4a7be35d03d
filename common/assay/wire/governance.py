"""The services of assay.governance.v1 by their descriptors; loaded only where governed identities are asked for."""

from typing import TYPE_CHECKING, cast

from google.protobuf.descriptor import ServiceDescriptor

from assay.rpc.client import Channel
from assay.wire.service import Stub
from assay_proto.governance.v1 import registration_pb2

if TYPE_CHECKING:  # these exist in the stubs only
    from assay_proto.governance.v1.registration_pb2_grpc import CatalogueAsyncStub, OwnersAsyncStub, PrincipalsAsyncStub

OWNERS: ServiceDescriptor = registration_pb2.DESCRIPTOR.services_by_name["Owners"]
PRINCIPALS: ServiceDescriptor = registration_pb2.DESCRIPTOR.services_by_name["Principals"]
CATALOGUE: ServiceDescriptor = registration_pb2.DESCRIPTOR.services_by_name["Catalogue"]


def owners_stub(channel: Channel) -> "OwnersAsyncStub":
    """Calls assay.governance.v1.Owners."""
    return cast("OwnersAsyncStub", Stub(channel, OWNERS))


def principals_stub(channel: Channel) -> "PrincipalsAsyncStub":
    """Calls assay.governance.v1.Principals."""
    return cast("PrincipalsAsyncStub", Stub(channel, PRINCIPALS))


def catalogue_stub(channel: Channel) -> "CatalogueAsyncStub":
    """Calls assay.governance.v1.Catalogue."""
    return cast("CatalogueAsyncStub", Stub(channel, CATALOGUE))
