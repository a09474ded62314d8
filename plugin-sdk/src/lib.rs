//! Write Lantern plugins in Rust: projections, command handlers and upcasters.
//!
//! # A projection
//!
//! A projection is a struct and a function: it is given events one by one, and writes rows.
//!
//! ```
//! use lantern_sdk::{Db, Event, Manifest, Projection, Result, Table};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! enum Account {
//!     Deposited { account: String, cents: i64 },
//!     Withdrawn { account: String, cents: i64 },
//! }
//!
//! static BALANCES: Table = Table::new("balances", &["account"], &["cents"]);
//!
//! #[derive(Default)]
//! struct Balances;
//!
//! impl Projection for Balances {
//!     fn manifest() -> Manifest {
//!         Manifest::new("balances")
//!             .topic("accounts")
//!             .schema("CREATE TABLE balances (account TEXT PRIMARY KEY, cents INTEGER NOT NULL)")
//!     }
//!
//!     fn apply(&mut self, event: &Event<'_>, db: &mut Db) -> Result<()> {
//!         match event.decode()? {
//!             Account::Deposited { account, cents } => db.upsert(&BALANCES, account).add("cents", cents),
//!             Account::Withdrawn { account, cents } => db.upsert(&BALANCES, account).add("cents", -cents),
//!         };
//!         Ok(())
//!     }
//! }
//!
//! lantern_sdk::projection!(Balances);
//! # fn main() {}
//! ```
//!
//! # A command handler
//!
//! An aggregate is a struct and two functions: one decides which events a command leads to, the other applies them.
//!
//! ```
//! use lantern_sdk::{Aggregate, Context, Manifest, Rejection};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Default, Serialize, Deserialize)]
//! struct Account {
//!     cents: i64,
//! }
//!
//! #[derive(Deserialize)]
//! enum Command {
//!     Deposit { cents: i64 },
//!     Withdraw { cents: i64 },
//! }
//!
//! #[derive(Serialize, Deserialize)]
//! enum Event {
//!     Deposited { cents: i64 },
//!     Withdrawn { cents: i64 },
//! }
//!
//! impl Aggregate for Account {
//!     type Command = Command;
//!     type Event = Event;
//!     type Rejection = Rejection;
//!
//!     fn manifest() -> Manifest {
//!         Manifest::new("account").topic("accounts")
//!     }
//!
//!     fn decide(&self, command: Command, _: &Context<'_>) -> Result<Vec<Event>, Rejection> {
//!         match command {
//!             Command::Deposit { cents } => Ok(vec![Event::Deposited { cents }]),
//!             Command::Withdraw { cents } if cents > self.cents => {
//!                 Err(Rejection::new("overdrawn", format!("the account has {} cents", self.cents)))
//!             }
//!             Command::Withdraw { cents } => Ok(vec![Event::Withdrawn { cents }]),
//!         }
//!     }
//!
//!     fn evolve(&mut self, event: Event) {
//!         match event {
//!             Event::Deposited { cents } => self.cents += cents,
//!             Event::Withdrawn { cents } => self.cents -= cents,
//!         }
//!     }
//! }
//!
//! lantern_sdk::aggregate!(Account);
//! # fn main() {}
//! ```
//!
//! # An upcaster
//!
//! An upcaster is two enums and a function: events as they were written once become events of today.
//!
//! ```
//! use lantern_sdk::{Event, Manifest, Result, Upcaster};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize)]
//! enum Old {
//!     DepositedV1 { account: String, amount: i64 },
//! }
//!
//! #[derive(Serialize)]
//! enum New {
//!     Deposited { account: String, cents: i64 },
//! }
//!
//! struct Cents;
//!
//! impl Upcaster for Cents {
//!     type Old = Old;
//!     type New = New;
//!
//!     fn manifest() -> Manifest {
//!         Manifest::new("cents").topic("accounts").types(["DepositedV1"])
//!     }
//!
//!     fn upcast(old: Old, _: &Event<'_>) -> Result<New> {
//!         let Old::DepositedV1 { account, amount } = old;
//!         Ok(New::Deposited { account, cents: amount * 100 })
//!     }
//! }
//!
//! lantern_sdk::upcaster!(Cents);
//! # fn main() {}
//! ```
//!
//! # Layout
//!
//! * [`Projection`], [`Manifest`], [`projection!`](crate::projection!): what a projection is.
//! * [`Aggregate`], [`Context`], [`Rejection`], [`aggregate!`](crate::aggregate!): what a command handler is;
//!   [`given`] tests what it decides.
//! * [`Upcaster`], [`Upcast`], [`upcaster!`](crate::upcaster!): what an upcaster is; [`given_event`] tests what it answers.
//! * [`Event`]: what it is given; [`Event::decode`] makes it one of its own types.
//! * [`Db`]: what it writes: SQL by [`Db::execute`] and [`Db::query`], or rows of a [`Table`], which are
//!   gathered over the batch and written once.
//! * [`Db::send`], [`Command`], [`Rejected`]: what a process manager sends, and what becomes of it.
//! * [`value`]: how Rust's types become SQLite's five kinds of value, and back.
//! * [`log`]: messages for the plugin's log.
//! * [`Error`]: why an event could not be applied.
//!
//! Natively a plugin is an ordinary crate, so that its own functions can be tested; the crate `lantern-testing` has a
//! database in memory for it.

mod aggregate;
mod command;
mod configuration;
mod db;
mod decode;
mod encode;
mod error;
mod event;
mod given;
mod given_event;
#[doc(hidden)]
pub mod guest;
pub mod log;
mod manifest;
mod query;
mod upcaster;
pub mod value;

pub use aggregate::{Aggregate, Context, Rejection};
pub use command::{Command, Rejected};
pub use configuration::configuration;
pub use db::{BUFFER_BYTES_MAX, Db, ROWS_MAX, RowMut, Table};
pub use error::{Error, Fault, Result};
pub use event::Event;
pub use given::{Given, given};
pub use given_event::{GivenEvent, given_event};
pub use manifest::{Envelope, Manifest};
pub use query::{Row, Rows};
pub use upcaster::{Upcast, Upcaster};
pub use value::Value;

/// A read model as a fold of events.
///
/// A value of the type is made by `Default` for every batch, so whatever a projection keeps in itself
/// lasts for a batch at most: what must last belongs into its tables.
pub trait Projection: Default {
    /// What the plugin is called, what it reads, and its tables.
    fn manifest() -> Manifest;

    /// Applies one event. It must depend on nothing but the event and the tables.
    ///
    /// # Errors
    /// Any error takes the whole batch back. The host then applies what came before this event, and deals
    /// with the event by the projection's policy.
    fn apply(&mut self, event: &Event<'_>, db: &mut Db) -> Result<()>;
}

/// Makes a [`Projection`] the plugin that this crate is. Once per crate.
#[macro_export]
macro_rules! projection {
    ($projection:ty) => {
        // Checked on every target, exported in WebAssembly.
        const _: fn() -> $crate::Manifest = <$projection as $crate::Projection>::manifest;

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;

            ::std::thread_local! {
                static RUNNER: ::std::cell::RefCell<$crate::guest::Runner> =
                    ::std::cell::RefCell::new($crate::guest::Runner::imported());
            }

            impl $crate::guest::described::exports::lantern::plugin::meta::Guest for Component {
                fn describe() -> ::std::string::String {
                    $crate::guest::describe(<$projection as $crate::Projection>::manifest)
                }
            }

            impl $crate::guest::bindings::exports::lantern::plugin::projection::Guest for Component {
                fn apply(
                    events: ::std::vec::Vec<u8>,
                ) -> ::core::result::Result<::std::vec::Vec<u8>, $crate::guest::bindings::Failure> {
                    RUNNER.with_borrow_mut(|runner| {
                        runner.apply::<$projection>(&events).map_err($crate::guest::failure)
                    })
                }
            }

    $crate::guest::described::export!(Component with_types_in $crate::guest::described);
    $crate::guest::bindings::export!(Component with_types_in $crate::guest::bindings);
        };
    };
}
