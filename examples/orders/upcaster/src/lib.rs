//! Payments of the shop's first year, as they are written today.
//!
//! Then an amount was a text in whole units, `"9.50"`, and the type was `OrderPaidV1`. No projection has to know.

use lantern_sdk::{Event, Manifest, Result, Upcaster};
use serde::{Deserialize, Serialize};

/// A payment as it was written.
#[derive(Debug, Deserialize)]
pub enum Old {
    /// The order was paid in full.
    OrderPaidV1 {
        /// The order.
        order_id: String,
        /// Who had ordered.
        customer_id: String,
        /// What was paid, in whole units with at most two decimals.
        amount: String,
        /// How it was paid.
        method: String,
        /// When.
        paid_at: String,
    },
}

/// The same as it is today.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub enum New {
    /// The order was paid in full.
    OrderPaid {
        /// The order.
        order_id: String,
        /// Who had ordered.
        customer_id: String,
        /// What was paid.
        amount_cents: u32,
        /// How it was paid.
        method: String,
        /// When.
        paid_at: String,
    },
}

/// The upcaster.
#[derive(Debug)]
pub struct Payments;

impl Upcaster for Payments {
    type Old = Old;
    type New = New;

    fn manifest() -> Manifest {
        Manifest::new("orders-v1")
            .version(env!("CARGO_PKG_VERSION"))
            .description("Payments of the first year: amounts in cents")
            .topic("shop")
            .types(["OrderPaidV1"])
    }

    fn upcast(old: Old, event: &Event<'_>) -> Result<New> {
        let Old::OrderPaidV1 { order_id, customer_id, amount, method, paid_at } = old;
        let amount_cents =
            cents(&amount).ok_or_else(|| event.bad_input(format_args!("{amount:?} is no amount")))?;
        Ok(New::OrderPaid { order_id, customer_id, amount_cents, method, paid_at })
    }
}

lantern_sdk::upcaster!(Payments);

/// `9.50` in cents.
fn cents(amount: &str) -> Option<u32> {
    let (units, decimals) = amount.split_once('.').unwrap_or((amount, "0"));
    let cents = match decimals.len() {
        1 => decimals.parse::<u32>().ok()? * 10,
        2 => decimals.parse().ok()?,
        _ => return None,
    };
    units.parse::<u32>().ok()?.checked_mul(100)?.checked_add(cents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lantern_sdk::{Upcast, given_event};

    fn paid(amount: &str) -> Result<Upcast> {
        let data = format!(
            r#"{{"order_id":"o-1","customer_id":"c-1","amount":"{amount}","method":"card","paid_at":"2019-05-01T12:00:00Z"}}"#
        );
        given_event::<Payments>("OrderPaidV1", data).upcast()
    }

    // A cent that is lost here is lost in every read model.
    #[test]
    fn amounts_are_exact_or_refused() {
        for (amount, amount_cents) in [("9.50", 950), ("9", 900), ("0.07", 7), ("12.3", 1_230)] {
            let today = New::OrderPaid {
                order_id: "o-1".into(),
                customer_id: "c-1".into(),
                amount_cents,
                method: "card".into(),
                paid_at: "2019-05-01T12:00:00Z".into(),
            };
            assert_eq!(paid(amount).unwrap(), Upcast::of(&today).unwrap(), "{amount}");
        }
        for amount in ["", "9.555", "-1", "9,50", "99999999"] {
            let refused = paid(amount).unwrap_err();
            assert!(refused.message().contains("is no amount"), "{refused}");
        }
    }
}
