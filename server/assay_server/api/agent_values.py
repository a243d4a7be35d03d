"""Nodes and issued certificates as spire.api.types messages."""

from assay.wire import selector as selector_wire
from assay.wire import spiffeid as spiffeid_wire
from assay_proto.spire.api.types import agent_pb2, x509svid_pb2
from assay_server.credential import IssuedX509
from assay_server.model import Node


def agent_to_proto(node: Node, mask: agent_pb2.AgentMask | None) -> agent_pb2.Agent:
    """The message with the fields the mask names (all without a mask); the ID is always there."""
    agent = agent_pb2.Agent(
        id=spiffeid_wire.to_proto(node.spiffe_id),
        attestation_type=node.attestation_type,
        x509svid_serial_number=node.serial,
        x509svid_expires_at=node.expires_at,
        selectors=[selector_wire.to_proto(selector) for selector in node.selectors],
        banned=node.banned,
        can_reattest=node.can_reattest,
        agent_version=node.agent_version,
    )
    if mask is not None:
        for field in agent_pb2.AgentMask.DESCRIPTOR.fields:
            if not getattr(mask, field.name):
                agent.ClearField(field.name)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - the mask's names are the message's
    return agent


def svid_to_proto(svid: IssuedX509) -> x509svid_pb2.X509SVID:
    """The certificates, leaf first, with their end."""
    return x509svid_pb2.X509SVID(
        id=spiffeid_wire.to_proto(svid.spiffe_id), cert_chain=svid.chain, expires_at=svid.not_after
    )
