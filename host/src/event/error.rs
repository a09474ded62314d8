//! Why a record holds no event.

/// A record that is not in the envelope it was said to be in, with its coordinates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("topic {topic}, partition {partition}, offset {offset}: {problem}")]
pub struct Error {
    /// The record's topic.
    pub topic: String,
    /// The record's partition.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// What is wrong, and what to do about it.
    pub problem: Problem,
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The header that holds the type is not there.
    #[error(
        "there is no header `{name}`, which should hold the event's type; set the projection's `envelope` \
         to where its type is, or have the producer send the header"
    )]
    HeaderMissing {
        /// The header's name.
        name: String,
    },
    /// The header that holds the type is empty or not UTF-8.
    #[error(
        "the header `{name}` should hold the event's type, but is {found}; have the producer send it as text"
    )]
    HeaderNotText {
        /// The header's name.
        name: String,
        /// What it is instead.
        found: &'static str,
    },
    /// The payload should be JSON.
    #[error(
        "the payload is not JSON at line {line}, column {column}: {reason}; if it is not meant to be, choose \
         another `envelope` for the projection"
    )]
    NotJson {
        /// Counted from 1.
        line: usize,
        /// In bytes, counted from 1; 0 where the line ended.
        column: usize,
        /// What the parser says.
        reason: String,
    },
    /// The field that holds the type is not there.
    #[error(
        "the payload has no field `{field}`, which should hold the event's type; check the `field` of the projection's `envelope`"
    )]
    FieldMissing {
        /// The field, with dots that lead into objects.
        field: String,
    },
    /// The field that holds the type holds something else.
    #[error(
        "the payload's field `{field}` should hold the event's type as a string, but is {found}; check the `field` of the projection's `envelope`"
    )]
    FieldNotText {
        /// The field, with dots that lead into objects.
        field: String,
        /// What it is instead.
        found: &'static str,
    },
    /// A structured CloudEvent in a format other than JSON.
    #[error(
        "the content type {content_type:?} is a CloudEvents format that is not read here; send the event in binary mode or as application/cloudevents+json"
    )]
    Format {
        /// The header's value.
        content_type: String,
    },
    /// An attribute of a structured CloudEvent is missing or is not what the specification says.
    #[error(
        "the CloudEvents attribute `{name}` {reason}; have the producer send what CloudEvents 1.0 asks for"
    )]
    Attribute {
        /// The attribute's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}
