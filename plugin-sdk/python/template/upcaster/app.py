"""Deposits were once counted in whole units; today they are in cents."""

from dataclasses import dataclass

from lantern import Event, Upcaster


@dataclass
class DepositedV1:
    account: str
    amount: int


@dataclass
class Deposited:
    account: str
    cents: int


upcaster = Upcaster("{{name}}", topics=["accounts"])


@upcaster.on(DepositedV1)
def deposited(event: Event[DepositedV1]) -> Deposited:
    return Deposited(event.data.account, event.data.amount * 100)
