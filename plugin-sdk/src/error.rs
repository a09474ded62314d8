//! Why an event could not be applied.

use std::fmt;

/// What [`crate::Projection::apply`] and most of the SDK answer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The event cannot be understood.
    BadInput,
    /// SQLite refused a statement.
    Sql,
    /// A write conflicts with what is stored.
    Conflict,
    /// What was asked for is not offered.
    Unsupported,
    /// Anything else.
    Other,
}

/// Why an event could not be applied.
///
/// Every error of the standard library's kind becomes one by `?`, as [`Fault::Other`]. That is why it is not
/// such an error itself.
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    fault: Fault,
    message: String,
    event: Option<u32>,
}

impl Error {
    /// An error with its message: what is wrong, and where.
    pub fn new(fault: Fault, message: impl Into<String>) -> Self {
        Error { inner: Box::new(Inner { fault, message: message.into(), event: None }) }
    }

    /// The event cannot be understood.
    pub fn bad_input(message: impl Into<String>) -> Self {
        Error::new(Fault::BadInput, message)
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        self.inner.fault
    }

    /// What is wrong, and where.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// The event at fault, counted from 0 within its batch, where it is known and not the one being applied.
    pub fn event(&self) -> Option<u32> {
        self.inner.event
    }

    /// Names the event at fault, unless that is known already.
    #[doc(hidden)]
    pub fn at_event(mut self, event: Option<u32>) -> Self {
        self.inner.event = self.inner.event.or(event);
        self
    }

    pub(crate) fn into_message(self) -> String {
        self.inner.message
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        Error::new(Fault::Other, error.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.inner.fault, self.inner.message)
    }
}
