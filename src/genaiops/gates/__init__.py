"""An experiment and a policy, turned into pass or fail with reasons; and a person's decision on it."""

from genaiops.gates._alerts import ALERT_KEYS, APPROVED, CHAMPION, AlertPolicy, judge_alert, read_alert
from genaiops.gates._approvals import (
    Approval,
    approvals,
    approve,
    record_alert,
    record_verdict,
    reject,
    require_approval,
)
from genaiops.gates._evidence import Evidence, load_evidence, load_totals
from genaiops.gates._judge import judge, judge_experiment
from genaiops.gates._policy import DEFAULT_FAILED_SHARE, MetricPolicy, Policy, SegmentPolicy
from genaiops.gates._reading import read_policy
from genaiops.gates._rendering import alert_text, verdict_junit, verdict_markdown, verdict_text
from genaiops.gates._verdict import Check, Verdict
from genaiops.gates._webhook import Delivery, Webhook, alert_message, resolve_webhook, send_alert

__all__ = [
    "ALERT_KEYS",
    "APPROVED",
    "CHAMPION",
    "DEFAULT_FAILED_SHARE",
    "AlertPolicy",
    "Approval",
    "Check",
    "Delivery",
    "Evidence",
    "MetricPolicy",
    "Policy",
    "SegmentPolicy",
    "Verdict",
    "Webhook",
    "alert_message",
    "alert_text",
    "approvals",
    "approve",
    "judge",
    "judge_alert",
    "judge_experiment",
    "load_evidence",
    "load_totals",
    "read_alert",
    "read_policy",
    "record_alert",
    "record_verdict",
    "reject",
    "require_approval",
    "resolve_webhook",
    "send_alert",
    "verdict_junit",
    "verdict_markdown",
    "verdict_text",
]
