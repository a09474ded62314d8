//! The rows of one table that a batch writes: found by key, changed in memory, flushed as writes.
//!
//! Nothing is allocated per row: keys and texts lie one behind the other in an arena, in the form that they have in a
//! frame, and columns in one list of cells. A flush copies. The order is that of first writing and the hash is
//! a fixed one, so the same batch always gives the same writes.

use super::hash::{equal, first_slot, hash};
use super::statement::{Columns, Verb, read_sql, write_sql};
use super::table::Table;
use crate::error::{Error, Fault, Result};
use crate::guest::Host;
use crate::query::Row;
use crate::value::{Key, Params, Value};
use lantern_contract::frame::{ops, value::append};

/// Whether a row that is not there is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    Upsert,
    Update,
}

/// How a column is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Set,
    Add,
    Max,
    Min,
}

/// What is to be written of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pending {
    /// Nothing: it was only read.
    Nothing,
    Upsert,
    Update,
    Delete,
    /// It is deleted, and then made anew.
    Replace,
}

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    pos: u32,
    len: u32,
}

impl Span {
    fn of(self, arena: &[u8]) -> &[u8] {
        &arena[self.pos as usize..(self.pos + self.len) as usize]
    }
}

/// The value of a column.
#[derive(Clone, Copy, Debug)]
enum Cell {
    Null,
    Integer(i64),
    /// Any other value, as a frame has it.
    Encoded(Span),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    key: Span,
    /// The last event that touched the row.
    event: Option<u32>,
    pending: Pending,
    columns: Columns,
    /// All cells have the row's values, or it is known that there is no row.
    known: bool,
    /// There is no row in the database.
    absent: bool,
}

pub(super) struct Cache {
    pub table: Table,
    arena: Vec<u8>,
    entries: Vec<Entry>,
    /// The columns of all entries, one entry after the other.
    cells: Vec<Cell>,
    /// Open addressing: an entry's position plus one, or 0. The length is a power of two, at least twice the entries.
    slots: Vec<u32>,
    /// Statements that write, by what they write.
    statements: Vec<(Verb, Columns, u32)>,
    select: Option<u32>,
    touched: bool,
}

impl Cache {
    pub fn new(table: Table) -> Self {
        Cache {
            table,
            arena: Vec::new(),
            entries: Vec::new(),
            cells: Vec::new(),
            slots: vec![0; 64],
            statements: Vec::new(),
            select: None,
            touched: false,
        }
    }

    /// Counts as touched; answers whether it did not before.
    pub fn touch(&mut self) -> bool {
        !std::mem::replace(&mut self.touched, true)
    }

    /// About how many bytes its rows take.
    pub fn size_bytes(&self) -> usize {
        self.arena.len()
            + self.entries.len() * (size_of::<Entry>() + 2 * size_of::<u32>())
            + self.cells.len() * size_of::<Cell>()
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        self.touched = false;
        self.arena.clear();
        self.cells.clear();
        self.entries.clear();
        self.slots.fill(0);
    }

    /// The encoded key of an entry.
    pub fn key(&self, entry: usize) -> &[u8] {
        self.entries[entry].key.of(&self.arena)
    }

    /// Whether the cells of an entry are the row's values.
    pub fn is_known(&self, entry: usize) -> bool {
        self.entries[entry].known
    }

    /// Whether a known entry has a row.
    pub fn exists(&self, entry: usize) -> bool {
        let entry = &self.entries[entry];
        !entry.absent && entry.pending != Pending::Delete
    }

    /// The value of a known entry's column.
    pub fn value(&self, entry: usize, column: usize) -> Result<Value<'_>> {
        match self.cells[entry * self.table.columns.len() + column] {
            Cell::Null => Ok(Value::Null),
            Cell::Integer(value) => Ok(Value::Integer(value)),
            Cell::Encoded(span) => Ok(Value::read(span.of(&self.arena))?),
        }
    }

    /// The entry of a key, if there is one.
    pub fn find(&mut self, key: &impl Key) -> Result<Option<usize>> {
        let start = self.arena.len();
        self.write_key(|arena| key.write(arena))?;
        let found = self.slot_of(hash(&self.arena[start..]), start).ok();
        self.arena.truncate(start);
        Ok(found)
    }

    /// Enters a row with an intent. `None`: what is gathered of it must be flushed first. `Some(None)`: there is
    /// no row to write to.
    pub fn enter(
        &mut self,
        key: &impl Key,
        intent: Intent,
        event: Option<u32>,
    ) -> Result<Option<Option<usize>>> {
        let (at, is_new) = self.entry(|arena| key.write(arena))?;
        let entry = &mut self.entries[at];
        let pending = match (intent, entry.pending) {
            (Intent::Upsert, Pending::Nothing) if is_new || entry.absent => Pending::Upsert,
            (Intent::Update, Pending::Nothing) if is_new => Pending::Update,
            (Intent::Update, Pending::Nothing) if entry.absent => return Ok(Some(None)),
            (Intent::Update, Pending::Delete) => return Ok(Some(None)),
            // It was read, so it is there.
            (_, Pending::Nothing) => Pending::Update,
            (Intent::Upsert, Pending::Delete) => Pending::Replace,
            (Intent::Upsert, Pending::Update) if !entry.known => return Ok(None),
            (_, pending) => pending,
        };
        if entry.absent || entry.pending == Pending::Delete {
            // A new row's other columns have defaults, which only the database knows.
            entry.known = false;
            entry.absent = false;
        }
        entry.pending = pending;
        entry.event = event;
        Ok(Some(Some(at)))
    }

    /// Enters a row that nothing is gathered of.
    pub fn insert(
        &mut self,
        write_key: impl FnOnce(&mut Vec<u8>) -> Result<u32>,
        intent: Intent,
        event: Option<u32>,
    ) -> Result<usize> {
        let (at, _) = self.entry(write_key)?;
        let entry = &mut self.entries[at];
        entry.pending = match intent {
            Intent::Upsert => Pending::Upsert,
            Intent::Update => Pending::Update,
        };
        entry.event = event;
        Ok(at)
    }

    /// Changes a column of an entry. False: this change cannot be put together with what is gathered.
    pub fn change(&mut self, entry: usize, column: usize, change: Change, value: Value<'_>) -> bool {
        let width = self.table.columns.len();
        let cell = &mut self.cells[entry * width + column];
        let Entry { columns, known, .. } = &mut self.entries[entry];
        let bit = 1u64 << column;
        let before = match *columns {
            Columns { written, .. } if written & bit == 0 => known.then_some(Change::Set),
            Columns { add, .. } if add & bit != 0 => Some(Change::Add),
            Columns { max, .. } if max & bit != 0 => Some(Change::Max),
            Columns { min, .. } if min & bit != 0 => Some(Change::Min),
            _ => Some(Change::Set),
        };
        // Nothing is known of the column, or it does not matter: the change itself is gathered.
        if before.is_none() || change == Change::Set {
            columns.written |= bit;
            columns.add = columns.add & !bit | if change == Change::Add { bit } else { 0 };
            columns.max = columns.max & !bit | if change == Change::Max { bit } else { 0 };
            columns.min = columns.min & !bit | if change == Change::Min { bit } else { 0 };
            *cell = encode(value, &mut self.arena);
            return true;
        }
        // The column's value, or what is to be added to it, is known, and changes here.
        let Value::Integer(n) = value else { return false };
        let merged = match (before, *cell) {
            (Some(Change::Set), Cell::Null) => Some(n),
            (Some(kind), Cell::Integer(old)) if kind == Change::Set || kind == change => match change {
                Change::Add => old.checked_add(n),
                Change::Max => Some(old.max(n)),
                Change::Min => Some(old.min(n)),
                Change::Set => Some(n),
            },
            _ => None,
        };
        let Some(merged) = merged else { return false };
        columns.written |= bit;
        *cell = Cell::Integer(merged);
        true
    }

    /// Writes a whole row.
    pub fn put(&mut self, key: impl Key, values: impl Params, event: Option<u32>) -> Result<()> {
        let (at, _) = self.entry(|arena| key.write(arena))?;
        let width = self.table.columns.len();
        let cells = &mut self.cells[at * width..(at + 1) * width];
        let mut next = 0;
        let arena = &mut self.arena;
        let count = values.for_each(|value| {
            if let Some(cell) = cells.get_mut(next) {
                *cell = encode(value, arena);
            }
            next += 1;
            Ok(())
        })?;
        if count as usize != width {
            return Err(Error::new(
                Fault::Other,
                format!(
                    "{count} values were put into `{}`, which declares {width} columns: {:?}",
                    self.table.name, self.table.columns
                ),
            ));
        }
        let entry = &mut self.entries[at];
        entry.pending = match entry.pending {
            Pending::Delete | Pending::Replace => Pending::Replace,
            Pending::Nothing | Pending::Upsert | Pending::Update => Pending::Upsert,
        };
        let written = if width == 0 { 0 } else { u64::MAX >> (64 - width) };
        entry.columns = Columns { written, ..Columns::default() };
        entry.known = true;
        entry.absent = false;
        entry.event = event;
        Ok(())
    }

    /// Deletes a row.
    pub fn delete(&mut self, key: impl Key, event: Option<u32>) -> Result<()> {
        let (at, _) = self.entry(|arena| key.write(arena))?;
        let entry = &mut self.entries[at];
        if !entry.absent {
            entry.pending = Pending::Delete;
            entry.columns = Columns::default();
            entry.known = true;
            entry.event = event;
        }
        Ok(())
    }

    /// The statement that reads a row by its key.
    pub fn select(&mut self, host: &mut dyn Host) -> Result<u32> {
        if let Some(statement) = self.select {
            return Ok(statement);
        }
        let statement = host.prepare(&read_sql(&self.table))?;
        self.select = Some(statement);
        Ok(statement)
    }

    /// Enters a row as the database has it.
    pub fn load(&mut self, key: &impl Key, row: Option<Row<'_>>) -> Result<usize> {
        let (at, _) = self.entry(|arena| key.write(arena))?;
        let width = self.table.columns.len();
        let entry = &mut self.entries[at];
        entry.known = true;
        entry.absent = row.is_none();
        if let Some(row) = row {
            for (cell, value) in self.cells[at * width..(at + 1) * width].iter_mut().zip(row.values()) {
                *cell = encode(value?, &mut self.arena);
            }
        }
        Ok(at)
    }

    /// Turns all rows into writes, and forgets them.
    pub fn flush(&mut self, host: &mut dyn Host, writes: &mut ops::Writer) -> Result<()> {
        for at in 0..self.entries.len() {
            let Entry { pending, columns, event, .. } = self.entries[at];
            let verbs: &[Verb] = match pending {
                Pending::Nothing => &[],
                Pending::Update if columns.written == 0 => &[],
                Pending::Update => &[Verb::Update],
                Pending::Upsert => &[Verb::Upsert],
                Pending::Delete => &[Verb::Delete],
                Pending::Replace => &[Verb::Delete, Verb::Upsert],
            };
            for &verb in verbs {
                let columns = if verb == Verb::Delete { Columns::default() } else { columns };
                let statement = self.statement(verb, columns, host).map_err(|error| error.at_event(event))?;
                writes.push_with(statement, event, |arena| self.write_row(at, columns, arena))?;
            }
        }
        self.clear();
        Ok(())
    }

    fn write_row(&self, at: usize, columns: Columns, arena: &mut Vec<u8>) -> Result<u32> {
        let width = self.table.columns.len();
        append(arena, self.key(at));
        let mut count = self.table.key.len() as u32;
        for column in columns.positions() {
            match self.cells[at * width + column] {
                Cell::Null => Value::Null.write(arena),
                Cell::Integer(value) => Value::Integer(value).write(arena),
                Cell::Encoded(span) => append(arena, span.of(&self.arena)),
            }
            count += 1;
        }
        Ok(count)
    }

    fn statement(&mut self, verb: Verb, columns: Columns, host: &mut dyn Host) -> Result<u32> {
        let known = self.statements.iter().find(|known| known.0 == verb && known.1 == columns);
        if let Some(&(_, _, statement)) = known {
            return Ok(statement);
        }
        let statement = host.prepare(&write_sql(&self.table, verb, columns))?;
        self.statements.push((verb, columns, statement));
        Ok(statement)
    }

    /// Appends a key to the arena, which must have as many parts as the table's key has columns.
    fn write_key(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<u32>) -> Result<()> {
        let count = write(&mut self.arena)?;
        if count as usize == self.table.key.len() {
            return Ok(());
        }
        Err(Error::new(
            Fault::Other,
            format!("a key of `{}` has the parts {:?}; {count} were given", self.table.name, self.table.key),
        ))
    }

    /// The entry of a key, and whether it was made here.
    fn entry(&mut self, write_key: impl FnOnce(&mut Vec<u8>) -> Result<u32>) -> Result<(usize, bool)> {
        let start = self.arena.len();
        self.write_key(write_key)?;
        let hash = hash(&self.arena[start..]);
        let mut slot = match self.slot_of(hash, start) {
            Ok(entry) => {
                self.arena.truncate(start);
                return Ok((entry, false));
            }
            Err(slot) => slot,
        };
        if (self.entries.len() + 1) * 2 > self.slots.len() {
            self.grow();
            slot = self.slot_of(hash, start).unwrap_or_else(|slot| slot);
        }
        let entry = self.entries.len();
        self.slots[slot] = entry as u32 + 1;
        self.entries.push(Entry {
            hash,
            key: Span { pos: start as u32, len: (self.arena.len() - start) as u32 },
            event: None,
            pending: Pending::Nothing,
            columns: Columns::default(),
            known: false,
            absent: false,
        });
        self.cells.resize(self.cells.len() + self.table.columns.len(), Cell::Null);
        Ok((entry, true))
    }

    /// The entry of the key that the arena has from `start` on, or else the free slot for it.
    fn slot_of(&self, hash: u32, start: usize) -> Result<usize, usize> {
        let mask = self.slots.len() - 1;
        let key = &self.arena[start..];
        let mut slot = first_slot(hash, self.slots.len());
        // Half of the slots are free, so this ends.
        loop {
            let Some(entry) = (self.slots[slot] as usize).checked_sub(1) else { return Err(slot) };
            if self.entries[entry].hash == hash && equal(self.key(entry), key) {
                return Ok(entry);
            }
            slot = (slot + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let mask = self.slots.len() * 2 - 1;
        self.slots.clear();
        self.slots.resize(mask + 1, 0);
        for (at, entry) in self.entries.iter().enumerate() {
            let mut slot = first_slot(entry.hash, self.slots.len());
            while self.slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = at as u32 + 1;
        }
    }
}

fn encode(value: Value<'_>, arena: &mut Vec<u8>) -> Cell {
    match value {
        Value::Null => Cell::Null,
        Value::Integer(value) => Cell::Integer(value),
        Value::Real(_) | Value::Text(_) | Value::Blob(_) => {
            let pos = arena.len() as u32;
            value.write(arena);
            Cell::Encoded(Span { pos, len: arena.len() as u32 - pos })
        }
    }
}
