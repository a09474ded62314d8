from app import Deposited, Withdrawn, balances
from lantern.testing import ReadModel


def test_a_withdrawal_lowers_the_balance() -> None:
    model = ReadModel(balances)
    model.apply(Deposited("ada", 500), Withdrawn("ada", 200), Deposited("bob", 7))
    assert model.rows("balances") == [{"account": "ada", "cents": 300}, {"account": "bob", "cents": 7}]
