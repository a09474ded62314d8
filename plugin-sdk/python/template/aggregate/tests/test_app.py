import pytest

from app import Deposit, Deposited, Withdraw, Withdrawn, account
from lantern import Rejection
from lantern.testing import given


def test_what_is_there_can_be_withdrawn() -> None:
    assert given(account, Deposited(500)).when(Withdraw(200)) == [Withdrawn(200)]


def test_an_account_is_never_overdrawn() -> None:
    with pytest.raises(Rejection, match="overdrawn"):
        given(account, Deposited(500), Withdrawn(200)).when(Withdraw(301))


def test_an_amount_is_at_least_one_cent() -> None:
    with pytest.raises(Rejection, match="no-amount"):
        given(account).when(Deposit(0))
