//! What stands between the host and an upcaster.

use super::{Failure, report_panics};
use crate::Event;
use crate::error::Result;
use crate::upcaster::Upcaster;
use lantern_contract::frame::events::Events;
use lantern_contract::frame::upcast::{NewEvent, Writer};

/// Upcasts a frame of events; answers the frame of what they are today.
///
/// # Errors
/// When an event cannot be read, or what it became not be written.
pub fn upcast<U: Upcaster>(frame: &[u8]) -> Result<Vec<u8>, Failure> {
    report_panics();
    Ok(try_upcast::<U>(frame)?)
}

fn try_upcast<U: Upcaster>(frame: &[u8]) -> Result<Vec<u8>> {
    let mut writer = Writer::new();
    for event in Events::parse(frame)?.iter() {
        let event = Event::new(event?);
        let today = U::upcast_raw(&event).map_err(|error| error.at_event(Some(event.index())))?;
        writer.push(NewEvent { kind: today.kind(), payload: today.payload() });
    }
    Ok(writer.finish())
}
