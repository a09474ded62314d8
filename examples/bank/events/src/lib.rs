//! What the plugins of the bank say to each other: commands and events.
//!
//! An enum is a set of commands or of events. The name of a variant is the command's name or the event's type, its fields are
//! the JSON.

#![allow(missing_docs, reason = "the names of the fields say it")]

use serde::{Deserialize, Serialize};

/// What an account is asked. Its id is the account's number.
#[derive(Debug, Serialize, Deserialize)]
pub enum AccountCommand {
    Open {
        owner: String,
    },
    Deposit {
        cents: i64,
    },
    Withdraw {
        cents: i64,
    },
    /// Gives the money of a transfer away.
    Debit {
        transfer: String,
        to: String,
        cents: i64,
    },
    /// Takes the money of a transfer.
    Credit {
        transfer: String,
        from: String,
        cents: i64,
    },
    /// Takes the money of a transfer back that could not be credited.
    Refund {
        transfer: String,
        cents: i64,
    },
}

/// What happens to an account, in the topic `accounts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountEvent {
    Opened { owner: String },
    Deposited { cents: i64 },
    Withdrawn { cents: i64 },
    Debited { transfer: String, to: String, cents: i64 },
    Credited { transfer: String, from: String, cents: i64 },
    Refunded { transfer: String, cents: i64 },
}

/// What the rejection of a credit says, so that the money goes back.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotCredited {
    pub transfer: String,
    pub from: String,
    pub cents: i64,
}

/// What a transfer is asked.
#[derive(Debug, Serialize, Deserialize)]
pub enum TransferCommand {
    /// Moves money at once; or, if it is to be confirmed, as soon as somebody does, within so many milliseconds.
    Request {
        from: String,
        to: String,
        cents: i64,
        #[serde(default)]
        confirm_within_ms: Option<i64>,
    },
    Confirm,
    /// Nobody has confirmed it in time.
    Expire,
    Complete,
    Fail {
        reason: String,
    },
}

/// What happens to a transfer, in the topic `transfers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransferEvent {
    Requested { from: String, to: String, cents: i64, confirm_by_ms: Option<i64> },
    Confirmed { from: String, to: String, cents: i64 },
    Expired,
    Completed,
    Failed { reason: String },
}
