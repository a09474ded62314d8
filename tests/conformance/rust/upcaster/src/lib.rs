//! The upcaster of `tests/conformance/README.md`, which says what becomes of each event.

use lantern_sdk::{Event, Manifest, Result, Upcast, Upcaster};
use serde::{Deserialize, Serialize};

struct Conformance;

#[derive(Deserialize)]
struct Old {
    account: String,
    amount: i64,
}

#[derive(Serialize)]
enum New {
    Count { account: String, n: i64 },
}

impl Upcaster for Conformance {
    type Old = Old;
    type New = New;

    fn manifest() -> Manifest {
        Manifest::new("upcaster-rust")
            .topic("conformance-old")
            .types(["CountV1", "RecordV1", "GoneV1", "BadV1"])
    }

    fn upcast(Old { account, amount }: Old, _: &Event<'_>) -> Result<New> {
        Ok(New::Count { account, n: amount })
    }

    fn upcast_raw(event: &Event<'_>) -> Result<Upcast> {
        match event.kind() {
            "CountV1" => Upcast::of(&Self::upcast(event.json()?, event)?),
            "RecordV1" => Ok(match event.payload() {
                Some(payload) => Upcast::new("Record", payload),
                None => Upcast::tombstone("Record"),
            }),
            "GoneV1" => Ok(Upcast::tombstone("Record")),
            _ => Err(event.bad_input("refused by the domain")),
        }
    }
}

lantern_sdk::upcaster!(Conformance);
