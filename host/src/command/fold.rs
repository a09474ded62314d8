//! Folds the events of an aggregate, in pieces that memory and the plugin can take.

use super::aggregates::bounded;
use super::domain::Domain;
use super::{Error, Options};
use crate::aggregate_store::{self, Event, Piece};

/// Events that are folded by one call.
const EVENTS_MAX: usize = 500;
/// Bytes of their data: the plugin holds them beside what it makes of them.
const BYTES_MAX: usize = 4 << 20;
/// Into so many parts a piece is divided that the plugin cannot take: each try may cost the time of a whole call.
const PARTS: usize = 8;

/// The state at a version, from an earlier one with its version and the events behind it. A piece at which the plugin gives up
/// is folded in smaller ones, down to single events.
pub(super) fn fold(
    domain: &mut Domain,
    id: &str,
    (mut state, mut at): (Option<Vec<u8>>, u64),
    to: u64,
    options: &Options,
    read: impl Fn(Piece) -> Result<Vec<Event>, aggregate_store::Error>,
) -> Result<Option<Vec<u8>>, Error> {
    let mut at_once = EVENTS_MAX;
    while at < to {
        let events = read(Piece { after: at, to, events_max: at_once, bytes_max: BYTES_MAX })?;
        let Some(last) = events.last() else {
            let name = &domain.name;
            return Err(Error::Halted {
                reason: format!(
                    "the file that the aggregates of `{name}` are kept in lacks events of `{id}` behind version {at}: move it \
                     away, with its `-wal` and `-shm`, and `lantern resume {name}`, which fills it again from the log"
                ),
            });
        };
        match domain.evolve(id, state.as_deref(), &events) {
            Ok(next) => {
                at = last.version;
                state = Some(bounded(next, options)?);
            }
            Err(_) if domain.has_trapped() && events.len() > 1 => at_once = events.len().div_ceil(PARTS),
            Err(error) => return Err(error),
        }
    }
    Ok(state)
}
