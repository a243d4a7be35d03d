"""Decisions as messages of assay.policy.v1."""

from assay_proto.policy.v1 import policy_pb2 as pb
from assay_server.model.governed.decision import Decision


def decision_to_proto(decision: Decision) -> pb.Decision:
    """The decision without its inputs."""
    return pb.Decision(
        id=decision.decision_id,
        point=decision.point.value,
        at=decision.at,
        effect=decision.effect.value,
        ttl=decision.ttl,
        reason=decision.reason,
        advice=decision.advice,
        policies=decision.policies,
        policy_version=decision.policy_version,
        policy_digest=decision.policy_digest,
        principal=decision.principal,
        task_id=decision.task_id,
        obligations=decision.obligations,
    )
