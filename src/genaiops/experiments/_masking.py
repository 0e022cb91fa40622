"""Personal data taken out of production texts: e-mail and IP addresses, telephone, card and account numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_CARD = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?!\d|\.\d)")
_IP = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4})(?![\w:])")
# A leading +, or a number in groups: plain digits are more often an amount or an order.
_PHONE = re.compile(
    r"(?<![\w.])(?:\+\d[\d ().-]{6,}\d|\(?0\d{1,4}\)?[ /.-]\d[\d .-]{4,}\d|\d{3}[-. ]\d{3}[-. ]\d{4})(?!\w)"
)


def mask_text(text: str) -> str:
    """The text with personal data replaced by `<email>`, `<iban>`, `<card>`, `<ip>`, `<phone>`.

    Numbers of cards and accounts are masked only when their check digits are right, so that order numbers stay.

    >>> mask_text("Write to ada@example.org or +44 20 7946 0958.")
    'Write to <email> or <phone>.'
    """
    text = _EMAIL.sub("<email>", text)
    text = _masked(_IBAN, is_iban, "<iban>", text)
    text = _masked(_CARD, is_card, "<card>", text)
    text = _masked(_IP, _is_ip, "<ip>", text)
    return _PHONE.sub("<phone>", text)


def mask_value(value: Any) -> Any:
    """JSON data with every text in it masked."""
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, dict):
        return {mask_text(str(key)): mask_value(item) for key, item in value.items()}
    return [mask_value(item) for item in value] if isinstance(value, list) else value


def is_card(text: str) -> bool:
    """Whether the check digit is that of a card (Luhn, ISO/IEC 7812-1)."""
    digits = [int(character) for character in text if character.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(digits[-1::-2])) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether the check digits are right (ISO 13616, modulo 97)."""
    account = text.replace(" ", "")
    moved = account[4:] + account[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _masked(pattern: re.Pattern[str], is_one: Callable[[str], bool], mask: str, text: str) -> str:
    return pattern.sub(lambda match: mask if is_one(match[0]) else match[0], text)
