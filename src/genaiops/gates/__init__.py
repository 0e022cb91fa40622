"""An experiment and a policy, turned into pass or fail with reasons; and a person's decision on it."""

from genaiops.gates._approvals import Approval, approvals, approve, record_verdict, reject, require_approval
from genaiops.gates._evidence import Evidence, load_evidence
from genaiops.gates._judge import judge, judge_experiment
from genaiops.gates._policy import DEFAULT_FAILED_SHARE, MetricPolicy, Policy, SegmentPolicy
from genaiops.gates._reading import read_policy
from genaiops.gates._rendering import verdict_junit, verdict_markdown, verdict_text
from genaiops.gates._verdict import Check, Verdict

__all__ = [
    "DEFAULT_FAILED_SHARE",
    "Approval",
    "Check",
    "Evidence",
    "MetricPolicy",
    "Policy",
    "SegmentPolicy",
    "Verdict",
    "approvals",
    "approve",
    "judge",
    "judge_experiment",
    "load_evidence",
    "read_policy",
    "record_verdict",
    "reject",
    "require_approval",
    "verdict_junit",
    "verdict_markdown",
    "verdict_text",
]
