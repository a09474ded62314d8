//! What a query answers.

use crate::error::{Error, Fault, Result};
use crate::value::{FromValue, Value};
use lantern_contract::frame::rows;
use lantern_contract::frame::value::Values;

/// The rows that a query answers, in its order.
pub struct Rows {
    frame: Vec<u8>,
}

impl Rows {
    #[doc(hidden)]
    pub fn new(frame: Vec<u8>) -> Result<Self> {
        rows::Rows::parse(&frame)?;
        Ok(Rows { frame })
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.parsed().map_or(0, |rows| rows.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows, one by one.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        // The host writes no mangled row; if it did, the rows would end there.
        self.parsed()
            .into_iter()
            .flat_map(|rows| rows.iter())
            .map_while(|row| row.ok())
            .map(|values| Row { values })
    }

    /// The first row.
    pub fn first(&self) -> Option<Row<'_>> {
        self.iter().next()
    }

    /// The frame was checked when it came.
    fn parsed(&self) -> Option<rows::Rows<'_>> {
        rows::Rows::parse(&self.frame).ok()
    }
}

/// One row of a query's answer.
#[derive(Clone, Debug)]
pub struct Row<'r> {
    values: Values<'r>,
}

impl<'r> Row<'r> {
    /// The value of a column, counted from 0.
    ///
    /// # Errors
    /// When there is no such column, or its value does not fit the type.
    pub fn get<T: FromValue<'r>>(&self, column: usize) -> Result<T> {
        let value = self.values.clone().nth(column).ok_or_else(|| {
            Error::new(
                Fault::Other,
                format!("column {column} was asked for, the row has {}", self.values.len()),
            )
        })??;
        T::from_value(value).ok_or_else(|| {
            Error::new(Fault::Other, format!("column {column} is {value:?}, not {}", T::EXPECTED))
        })
    }

    /// All values, in order.
    pub(crate) fn values(&self) -> impl Iterator<Item = Result<Value<'r>>> + use<'r> {
        self.values.clone().map(|value| Ok(value?))
    }
}
