//! The host as a plugin sees it: its imported functions.

use super::bindings::lantern::plugin::types;
use super::bindings::lantern::plugin::{logger, sql};
use super::{Decision, Failure, Host, Runner, handler_bindings};
use crate::error::{Error, Fault, Result};
use std::panic::PanicHookInfo;
use std::sync::Once;

struct Imports;

impl Host for Imports {
    fn prepare(&mut self, text: &str) -> Result<u32> {
        sql::prepare(text).map_err(error)
    }

    fn apply(&mut self, ops: &[u8]) -> Result<u32> {
        sql::apply(ops).map_err(error)
    }

    fn query(&mut self, statement: u32, params: &[u8], rows_max: u32) -> Result<Vec<u8>> {
        sql::query(statement, params, rows_max).map_err(error)
    }
}

impl Runner {
    /// A runner on the host that this instance lives in.
    pub fn imported() -> Self {
        report_panics();
        Runner::new(Box::new(Imports))
    }
}

/// Lets panics reach the plugin's log as text, before they trap.
pub(super) fn report_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
            let message = info.payload_as_str().unwrap_or("with a payload that is not text");
            let place =
                info.location().map_or(String::new(), |at| format!(" at {}:{}", at.file(), at.line()));
            logger::write(0, &format!("panicked: {message}{place}"));
        }));
    });
}

/// A decision as the contract has it.
pub fn decision(decision: Decision) -> handler_bindings::Decision {
    match decision {
        Decision::Events(frame) => handler_bindings::Decision::Events(frame),
        Decision::Rejected(rejection) => handler_bindings::Decision::Rejected(handler_bindings::Rejection {
            code: rejection.code,
            message: rejection.message,
            detail: rejection.detail,
        }),
    }
}

/// A failure as the contract has it.
pub fn failure(failure: Failure) -> types::Failure {
    let kind = match failure.fault {
        Fault::BadInput => types::Fault::BadInput,
        Fault::Sql => types::Fault::Sql,
        Fault::Conflict => types::Fault::Conflict,
        Fault::Unsupported => types::Fault::Unsupported,
        Fault::Other => types::Fault::Other,
    };
    types::Failure { kind, message: failure.message, index: failure.index }
}

fn error(failure: types::Failure) -> Error {
    let fault = match failure.kind {
        types::Fault::BadInput => Fault::BadInput,
        types::Fault::Sql => Fault::Sql,
        types::Fault::Conflict => Fault::Conflict,
        types::Fault::Unsupported => Fault::Unsupported,
        types::Fault::Other => Fault::Other,
    };
    Error::new(fault, failure.message).at_event(failure.index)
}
