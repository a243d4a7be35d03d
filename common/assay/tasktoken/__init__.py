"""Task tokens at a policy service, a gateway or a tool: verified with their key, their action and their status.

    verifier = TaskTokenVerifier(bundles, issuer, "https://crm/mcp", status, trust_domain="example.org")
    token = verifier.verify(text, Certificate(der), "crm.read")

Status comes from `assay.tasktoken.status` (the local agent) or `assay.tasktoken.lists` (status lists over HTTPS). For
whole applications there are `assay.asgi.task` and `assay.rpcauth.task`.
"""

from assay.tasktoken.presented import Certificate, DpopProof, Presented
from assay.tasktoken.refusal import NotAllowedError
from assay.tasktoken.token import Binding, Confirmation, TaskToken
from assay.tasktoken.verifier import TaskTokenVerifier

__all__ = [
    "Binding",
    "Certificate",
    "Confirmation",
    "DpopProof",
    "NotAllowedError",
    "Presented",
    "TaskToken",
    "TaskTokenVerifier",
]
