"""The rule that makes payment keys: from order, amount and number of the checkout, with nothing drawn at random.

Toss's widget makes them in the browser. Here ``POST /simulator/checkouts`` does; a load script may apply the rule
itself and spare the call. It is no secret, as a checkout is none: whoever can open the widget can make one, and what
makes a payment is the confirm, for which the merchant's secret key is needed.
"""

from __future__ import annotations

import hashlib
import re

_FORM = re.compile(r"sim_([1-9]\d{0,17})_(\d{1,6})_[0-9a-f]{32}", re.ASCII)


def payment_key_for(order_id: str, amount: int, number: int = 0) -> str:
    """The payment key of an order's checkout over ``amount`` won; ``number`` counts the order's checkouts from 0.

    A declined payment is final, so that a buyer who tries again makes another checkout of the same order.
    """
    digest = hashlib.blake2b(f"{order_id}\n{amount}\n{number}".encode(), digest_size=16).hexdigest()
    return f"sim_{amount}_{number}_{digest}"


def amount_of(payment_key: str, order_id: str) -> int | None:
    """The amount (won) of a key that the rule makes for this order; None if it makes no such key."""
    match = _FORM.fullmatch(payment_key)
    if match is None:
        return None
    amount = int(match[1])
    return amount if payment_key == payment_key_for(order_id, amount, int(match[2])) else None
