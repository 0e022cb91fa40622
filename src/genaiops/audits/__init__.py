"""What an existing repository of flows uses, what runs here unchanged, what does not and why."""

from genaiops.audits._audit import AuditReport, SecretAudit, audit
from genaiops.audits._discover import find_flows, find_use_cases
from genaiops.audits._flow_audit import FlowAudit, Verdict, audit_flow
from genaiops.audits._markdown import audit_markdown
from genaiops.audits._use_cases import UseCaseAudit

__all__ = [
    "AuditReport",
    "FlowAudit",
    "SecretAudit",
    "UseCaseAudit",
    "Verdict",
    "audit",
    "audit_flow",
    "audit_markdown",
    "find_flows",
    "find_use_cases",
]
