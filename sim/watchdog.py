"""What is said when nothing moves any more."""

from collections.abc import Mapping

__all__ = ["Stuck", "stuck_message"]


class Stuck(Exception):
    """Nothing moved for too long: names the streams that are full and those that are empty."""


def stuck_message(states: Mapping[str, tuple[bool, bool]], last: int) -> str:
    """``states``: (valid, ready) of each stream when patience ran out; ``last``: the cycle in which something
    moved last, -1 if nothing did."""
    full = [name for name, (valid, ready) in states.items() if valid and not ready]
    empty = [name for name, (valid, ready) in states.items() if ready and not valid]
    idle = [name for name, (valid, ready) in states.items() if not valid and not ready]
    parts = [
        f"{words}: {', '.join(names)}"
        for words, names in (
            ("full (valid, not ready)", full),
            ("empty (ready, not valid)", empty),
            ("closed (neither)", idle),
        )
        if names
    ]
    when = f"nothing moved after cycle {last}" if last >= 0 else "nothing moved at all"
    return f"{when}; " + "; ".join(parts)
