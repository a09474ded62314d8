//! What a plugin is.

use super::imports::{CONFIG, LOGGER, SQL};
use std::fmt;

pub(super) const PROJECTION: &str = "lantern:plugin/projection@0.1.0";
pub(super) const COMMANDS: &str = "lantern:plugin/commands@0.1.0";
pub(super) const UPCAST: &str = "lantern:plugin/upcast@0.1.0";
const TYPES: &str = "lantern:plugin/types@0.1.0";

/// What a plugin is, by what it exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Events in, rows out.
    Projection,
    /// Commands in, events out.
    Commands,
    /// Old events in, events of today out.
    Upcaster,
}

/// It exports what two kinds of plugin do.
#[derive(Debug)]
pub(super) struct TwoKinds(pub Kind, pub Kind);

impl Kind {
    const ALL: [Kind; 3] = [Kind::Projection, Kind::Commands, Kind::Upcaster];

    /// Which kind it is that exports these interfaces. What says nothing of any is taken for a projection, and told what
    /// it lacks for one.
    pub(super) fn of(exports: impl Fn(&'static str) -> bool) -> Result<Self, TwoKinds> {
        let mut found = Self::ALL.into_iter().filter(|kind| exports(kind.interface()));
        match (found.next(), found.next()) {
            (Some(first), Some(second)) => Err(TwoKinds(first, second)),
            (first, _) => Ok(first.unwrap_or(Kind::Projection)),
        }
    }

    /// Its name with its article.
    pub fn one(self) -> &'static str {
        match self {
            Kind::Projection => "a projection",
            Kind::Commands => "a command handler",
            Kind::Upcaster => "an upcaster",
        }
    }

    /// The interface that makes it what it is.
    fn interface(self) -> &'static str {
        match self {
            Kind::Projection => PROJECTION,
            Kind::Commands => COMMANDS,
            Kind::Upcaster => UPCAST,
        }
    }

    /// The world of the contract.
    pub(super) fn world(self) -> &'static str {
        match self {
            Kind::Projection => "projection-plugin",
            Kind::Commands => "command-handler",
            Kind::Upcaster => "upcaster",
        }
    }

    /// The interfaces that it is given. `types` has types only: there is nothing to give.
    pub(super) fn granted(self) -> &'static [&'static str] {
        match self {
            Kind::Projection => &[LOGGER, CONFIG, SQL, TYPES],
            Kind::Commands | Kind::Upcaster => &[LOGGER, CONFIG, TYPES],
        }
    }

    /// What it may import, for one that imports something else.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Kind::Projection => {
                "a projection may import lantern:plugin/logger, lantern:plugin/config and lantern:plugin/sql"
            }
            Kind::Commands => {
                "a command handler may import lantern:plugin/logger and lantern:plugin/config: all that it decides on is \
                 its state"
            }
            Kind::Upcaster => {
                "an upcaster may import lantern:plugin/logger and lantern:plugin/config: what becomes of an event \
                 follows from the event alone"
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = self.one();
        f.write_str(one.split_once(' ').map_or(one, |(_, name)| name))
    }
}
