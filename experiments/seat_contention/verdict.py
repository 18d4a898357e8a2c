"""What the figures say, in words; each sentence follows from them, and another run may come to other sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from experiments.seat_contention.model import GUARDS, Load
from experiments.seat_contention.results import Figure, Results

_WELL = 0.999


def verdict(results: Results, loads: Sequence[Load]) -> list[str]:
    """Sentences: who sells twice, who holds in a crowd, what the lock saves, what it costs, and whether to use it."""
    crowd = max((load for load in loads if load.one_seat), key=lambda load: load.buyers)
    spread = max((load for load in loads if not load.one_seat), key=lambda load: load.buyers)
    alone = next(load for load in loads if not load.at_once)
    return [
        *_right(results),
        _in_the_crowd(results, crowd),
        _saving(results, crowd),
        _without_redis(results, crowd),
        _cost(results, spread, "each wants another seat"),
        _cost(results, alone, "they come one after the other"),
        _advice(results, crowd),
    ]


def _right(results: Results) -> Iterator[str]:
    worst: dict[str, float] = {}
    for cell in results.cells:
        worst[cell.guard] = max(worst.get(cell.guard, 0.0), cell.seats_sold_twice.high)
    wrong = [guard for guard, seats in worst.items() if seats]
    right = [guard for guard, seats in worst.items() if not seats]
    if wrong:
        yield f"Sold a seat twice: {_named(wrong)}."
    if right:
        yield f"Never did: {_named(right)}."


def _in_the_crowd(results: Results, crowd: Load) -> str:
    shares = {guard.name: results.cell(guard.name, crowd).answered_well.median for guard in GUARDS}
    told = ", ".join(f"{guard} {share:.1%}" for guard, share in shares.items())
    return f"Of {crowd.buyers:,} buyers of one seat, answered well: {told}."


def _saving(results: Results, crowd: Load) -> str:
    lock, index = results.cell("lock", crowd), results.cell("index", crowd)
    if not _differ(lock.per_second, index.per_second):
        return "In the crowd the lock and the index alone are as fast, as far as these repeats can tell."
    ratio = lock.per_second.median / index.per_second.median
    return (
        f"In the crowd the lock answers {ratio:.2g} times as many a second as the index alone, "
        f"{lock.per_second.median:,.0f} to {index.per_second.median:,.0f}, and costs PostgreSQL "
        f"{lock.postgres_us.median:,.0f} µs a buyer instead of {index.postgres_us.median:,.0f}."
    )


def _without_redis(results: Results, crowd: Load) -> str:
    with_redis, without = (results.cell(guard, crowd) for guard in ("lock", "lock_without_redis"))
    told = f"{without.per_second.median:,.0f} buyers a second to {with_redis.per_second.median:,.0f}"
    if _differ(with_redis.per_second, without.per_second):
        return f"While Redis is away, what is left of the lock answers {told}."
    return f"While Redis is away, what is left of the lock answers as many, as far as these repeats can tell: {told}."


def _cost(results: Results, load: Load, when: str) -> str:
    lock, index = (results.cell(guard, load) for guard in ("lock", "index"))
    own = lock.service_us.median - index.service_us.median
    changed = lock.per_second.median / index.per_second.median - 1
    tail = f"{changed:+.0%} bookings a second" if _differ(lock.per_second, index.per_second) else "no slower or faster"
    return f"When {when}, the lock costs the service {own:+,.0f} µs a booking over the index alone: {tail}."


def _advice(results: Results, crowd: Load) -> str:
    lock, index = results.cell("lock", crowd), results.cell("index", crowd)
    if lock.seats_sold_twice.high:
        return "The lock is wrong, and must not be used."
    if lock.answered_well.low >= _WELL > index.answered_well.high:
        return (
            "The index is what makes it right, and the lock is what makes it last: where thousands want one seat at "
            "once, use both; where they do not, the index alone is simpler and as right."
        )
    if _differ(lock.per_second, index.per_second) and lock.per_second.median > index.per_second.median:
        return "The index alone is right and lasts; the lock is faster in a crowd, which is the only reason to have it."
    return "The index alone is right, lasts, and is as fast: the lock is not worth having."


def _named(guards: Sequence[str]) -> str:
    return ", ".join(f"`{guard}`" for guard in guards)


def _differ(one: Figure, other: Figure) -> bool:
    """Whether the ranges of the repeats do not overlap."""
    return one.low > other.high or other.low > one.high
