"""Several consumers share the work: one comes, one dies, and every refund is done once."""

from __future__ import annotations

import time

from tests.async_cancel.stage_hall import GROUP, Hall
from tests.contract.ordering import PRICE
from tests.polling import until


def test_one_joins_and_one_is_killed_in_the_middle_of_the_work(hall: Hall) -> None:
    early, late = hall.buy(30), hall.buy(20)
    hall.shop.switch(latencyMedianMs=300, sigma=0.35)
    hall.accept(*early[:15])
    with hall.one_more("canceller"):
        # The rebalance finds refunds under way; so does the kill.
        hall.accept(*early[15:])
        assert until(lambda: hall.broker.members(GROUP) == 2)
        hall.accept(*late)
        assert until(lambda: any(hall.refunded(one) for one in late))
        hall.canceller.kill()
        killed = time.monotonic()
        try:
            hall.settled(early + late)
            print(f"one of two consumers killed: all refunded after {time.monotonic() - killed:.1f} s")
        finally:
            hall.canceller.respawn()
        assert until(lambda: hall.broker.members(GROUP) == 2)
    hall.shop.switch(latencyMedianMs=0)
    assert until(hall.finished)
    assert [hall.refunded(one) for one in early + late] == [[PRICE]] * 50
    assert until(lambda: hall.broker.members(GROUP) == 1)
