//! Headers: of a record as the log has them, and of an event after its envelope was opened.

use std::borrow::Cow;
use std::fmt;

/// A header's name and value.
pub type Header<'a> = (&'a str, Option<&'a [u8]>);

/// The headers of a record, in order. A name may occur more than once.
///
/// Reading headers costs more than the rest of a record, so the client of the log reads them when the
/// first one is asked for.
#[derive(Clone, Copy)]
pub struct Headers<'a>(Source<'a>);

#[derive(Clone, Copy)]
enum Source<'a> {
    List(&'a [Header<'a>]),
    Lazy(&'a dyn Fn(usize) -> Option<Header<'a>>),
}

impl<'a> Headers<'a> {
    /// No headers.
    pub const NONE: Headers<'static> = Headers(Source::List(&[]));

    /// Headers that have been read.
    pub fn list(headers: &'a [Header<'a>]) -> Self {
        Headers(Source::List(headers))
    }

    /// Headers that are read when asked for: the function gives the header at an index, `None` behind
    /// the last one.
    pub fn lazy(read: &'a dyn Fn(usize) -> Option<Header<'a>>) -> Self {
        Headers(Source::Lazy(read))
    }

    fn at(&self, index: usize) -> Option<Header<'a>> {
        match self.0 {
            Source::List(headers) => headers.get(index).copied(),
            Source::Lazy(read) => read(index),
        }
    }

    /// All headers in order.
    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> {
        let headers = *self;
        (0..).map_while(move |index| headers.at(index))
    }

    /// The value of the first header of this name; `Some(None)` is a header without a value.
    pub fn get(&self, name: &str) -> Option<Option<&'a [u8]>> {
        self.iter().find(|(each, _)| *each == name).map(|(_, value)| value)
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A header of an event, which may have been made up from an attribute.
pub type AnyHeader<'a> = (Cow<'a, str>, Option<Cow<'a, [u8]>>);

/// The headers of an event.
#[derive(Clone, Debug)]
pub enum EventHeaders<'a> {
    /// Those of its record, unchanged.
    Record(Headers<'a>),
    /// Those of its record and the attributes that stood in the payload of a structured CloudEvent.
    Structured(Vec<AnyHeader<'a>>),
}

impl EventHeaders<'_> {
    fn at(&self, index: usize) -> Option<Header<'_>> {
        match self {
            EventHeaders::Record(headers) => headers.at(index),
            EventHeaders::Structured(headers) => {
                headers.get(index).map(|(name, value)| (name.as_ref(), value.as_deref()))
            }
        }
    }

    /// All headers in order.
    pub fn iter(&self) -> impl Iterator<Item = Header<'_>> {
        (0..).map_while(|index| self.at(index))
    }

    /// The value of the first header of this name; `Some(None)` is a header without a value.
    pub fn get(&self, name: &str) -> Option<Option<&[u8]>> {
        self.iter().find(|(each, _)| *each == name).map(|(_, value)| value)
    }
}
