"""Secrets typed into files: where, and of which kind; never the value itself."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from genaiops.records import record

# Shapes that nothing but a secret has.
_SHAPES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("private key", re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")),
    ("OpenAI key", re.compile(r"\bsk-(?:proj-|svcacct-|admin-)?(?!ant-)[A-Za-z0-9_-]{20,}")),
    ("Anthropic key", re.compile(r"\bsk-ant-[A-Za-z0-9_-]{20,}")),
    ("GitHub token", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})")),
    ("AWS access key", re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")),
    ("Google API key", re.compile(r"\bAIza[A-Za-z0-9_-]{35}\b")),
    ("Slack token", re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}")),
    ("Hugging Face token", re.compile(r"\bhf_[A-Za-z0-9]{30,}\b")),
    ("Azure storage connection string", re.compile(r"AccountKey=(?P<value>[A-Za-z0-9+/]{40,}={0,2})")),
    ("Azure connection string", re.compile(r"SharedAccessKey=(?P<value>[A-Za-z0-9+/]{30,}={0,2})")),
    ("shared access signature", re.compile(r"[?&]sig=(?P<value>[A-Za-z0-9%+/]{40,})")),
    (
        "Application Insights connection string",
        re.compile(r"InstrumentationKey=(?P<value>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"),
    ),
    ("password in an address", re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s:/@'\"]+:(?P<value>[^\s@/'\"]{6,})@")),
)
# A name that says a secret follows, and what follows: NAME = "value", name: value, --name value, NAME=value.
_BESIDE_A_NAME = re.compile(
    r"(?:api[_-]?key|secret|passw(?:or)?d|pwd|token|(?:access|subscription|account)[_-]?key|\bkey)"
    r"[\"']?\s*[=:,]\s*[\"']?(?P<value>[A-Za-z0-9+/_.=~-]{16,})[\"']?",
    re.IGNORECASE,
)
# No secret is found in a line without one of these; most lines have none, so this is what a search costs.
_WORTH_A_LOOK = re.compile(
    r"key|secret|passw|pwd|token|sk-|gh[pousr]_|_pat_|AKIA|ASIA|AIza|xox|hf_|sig=|://[^/\s]*@", re.IGNORECASE
)
_PLACEHOLDER = re.compile(
    r"your|example|sample|placeholder|dummy|fake|mock|test|xxx|todo|change|replace|insert|redacted|secret|password"
    r"|user-?input|no-change|<|>|\*{3}|\.\.\.|…|none|null|connection|environ|getenv|_key\b|api_key|deploy|model",
    re.IGNORECASE,
)
_AZURE_KEY = re.compile(r"[0-9a-f]{32}|[A-Za-z0-9]{84}|[A-Za-z0-9]{52}")
_MAX_LINE = 2_000


@record(frozen=True, slots=True)
class SecretPlace:
    """Where a secret is typed in.

    Args:
        line: Counted from 1.
        kind: What it looks like.
    """

    line: int
    kind: str


def find_secrets(text: str) -> list[SecretPlace]:
    """Places in a text where a secret seems to be typed in, at most one a line.

    Placeholders (`${NAME}`, `<user-input>`, `your-key`, `***`) are not reported.

    >>> find_secrets("api_key: sk-Zq3LkP0vTx81MnBcR7yHdW2s")
    [SecretPlace(line=1, kind='OpenAI key')]
    >>> find_secrets("api_key: ${AOAI_API_KEY}")
    []
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        kind = next(_kinds_in(line[:_MAX_LINE]), None) if _WORTH_A_LOOK.search(line) else None
        if kind is not None:
            found.append(SecretPlace(number, kind))
    return found


def _kinds_in(line: str) -> Iterator[str]:
    for kind, pattern in _SHAPES:
        for match in pattern.finditer(line):
            value = match.groupdict().get("value") or match[0]
            if kind == "private key" or not _is_placeholder(value, line):
                yield kind
    for match in _BESIDE_A_NAME.finditer(line):
        value = match["value"]
        if _is_placeholder(value, line) or not _looks_random(value):
            continue
        yield "Azure key" if _AZURE_KEY.fullmatch(value) else "key beside a name that says so"


def _is_placeholder(value: str, line: str) -> bool:
    body = value.removeprefix("sk-")
    return bool(_PLACEHOLDER.search(body)) or len(set(body)) < 8 or f"${{{value}" in line or f"${value}" in line


def _looks_random(value: str) -> bool:
    """Digits and letters mixed, with the entropy of a key rather than of words."""
    core = value.rstrip("=")
    if not (any(c.isdigit() for c in core) and any(c.isalpha() for c in core)):
        return False
    if re.fullmatch(r"[\w-]*\.[\w.-]+", core) and not core.startswith("eyJ"):
        return False  # a file name, a host or an attribute
    counts = Counter(core)
    entropy = -sum(n / len(core) * math.log2(n / len(core)) for n in counts.values())
    return entropy >= (3.0 if re.fullmatch(r"[0-9a-f-]+", core) else 3.5)
