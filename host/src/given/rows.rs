//! Rows that came out, compared with rows that should.

use super::fields::unknown;
use super::then::{Row, Table};
use super::values::shown;
use super::{Error, Problem};
use crate::read_model::Cell;

/// Differing rows that are shown.
const SHOWN_MAX: usize = 20;
/// Characters of a value that are shown.
const CELL_CHARS_MAX: usize = 200;

/// Compares the rows of a table or an answer. Columns that a row does not name are not looked at; how many rows there are
/// is.
pub fn compare(table: &Table, columns: &[String], rows: &[Vec<Cell>]) -> Result<Option<Problem>, Error> {
    let expected: Vec<Expectation<'_>> =
        table.rows.iter().map(|row| Expectation::of(table, row, columns)).collect::<Result<_, _>>()?;
    let matched = if table.is_ordered {
        let in_place =
            |index: usize| rows.get(index).is_some_and(|row| expected[index].fits(row)).then_some(index);
        (0..expected.len()).map(in_place).collect()
    } else {
        pair(&expected, rows)
    };
    let missing: Vec<usize> = (0..expected.len()).filter(|&index| matched[index].is_none()).collect();
    let mut extra: Vec<usize> = (0..rows.len()).filter(|&row| !matched.contains(&Some(row))).collect();
    if missing.is_empty() && extra.is_empty() {
        return Ok(None);
    }
    let text = if expected.len() == rows.len() {
        format!("`{}` has other rows{}", table.name, if table.is_ordered { ", or another order" } else { "" })
    } else {
        format!("`{}` should have {}, and has {}", table.name, count(expected.len()), count(rows.len()))
    };
    let mut problem = Problem::new(table.line, text);
    let all: Vec<usize> = named(&expected, columns.len());
    for &index in missing.iter().take(SHOWN_MAX) {
        problem.details.push(format!("- {}", expected[index].show()));
        // Beside it the row that is most like it, which is likely to be what became of it.
        let likeness = |row: &usize| expected[index].likeness(&rows[*row]);
        let nearest = extra
            .iter()
            .copied()
            .filter(|row| likeness(row) > 0)
            .max_by_key(|row| (likeness(row), usize::MAX - row));
        if let Some(row) = nearest {
            extra.retain(|other| *other != row);
            problem.details.push(format!("+ {}", show(columns, &rows[row], &expected[index].places())));
        }
    }
    let shown = extra.iter().take(SHOWN_MAX.saturating_sub(missing.len()).max(1));
    problem.details.extend(shown.map(|&row| format!("+ {}", show(columns, &rows[row], &all))));
    let left = (missing.len() + extra.len()).saturating_sub(SHOWN_MAX.max(missing.len().min(SHOWN_MAX) + 1));
    if left > 0 {
        problem.details.push(format!("  and {left} more"));
    }
    Ok(Some(problem))
}

/// A row that should be, with the places of its columns.
struct Expectation<'t> {
    row: &'t Row,
    places: Vec<usize>,
}

impl<'t> Expectation<'t> {
    fn of(table: &Table, row: &'t Row, columns: &[String]) -> Result<Self, Error> {
        let place = |(name, _): &(String, _)| {
            let known: Vec<&str> = columns.iter().map(String::as_str).collect();
            columns
                .iter()
                .position(|column| column == name)
                .ok_or_else(|| Error::new(row.line, unknown(name, &format!("`{}`", table.name), &known)))
        };
        Ok(Expectation { row, places: row.cells.iter().map(place).collect::<Result<_, _>>()? })
    }

    /// How many of its columns are as they should be.
    fn likeness(&self, row: &[Cell]) -> usize {
        let pairs = self.places.iter().zip(&self.row.cells);
        pairs
            .filter(|(place, (_, expected))| row.get(**place).is_some_and(|cell| expected.fits(cell)))
            .count()
    }

    fn fits(&self, row: &[Cell]) -> bool {
        self.likeness(row) == self.places.len()
    }

    fn places(&self) -> Vec<usize> {
        self.places.clone()
    }

    fn show(&self) -> String {
        let cells =
            self.row.cells.iter().map(|(name, expected)| format!("{name}: {}", cut(expected.to_string())));
        format!("{{ {} }}", cells.collect::<Vec<_>>().join(", "))
    }
}

/// Gives every expectation a row of its own, for as many as can have one: for each, the row.
fn pair(expected: &[Expectation<'_>], rows: &[Vec<Cell>]) -> Vec<Option<usize>> {
    let mut owner: Vec<Option<usize>> = vec![None; rows.len()];
    for index in 0..expected.len() {
        claim(index, expected, rows, &mut owner, &mut vec![false; rows.len()]);
    }
    let row_of = |index: usize| owner.iter().position(|owner| *owner == Some(index));
    (0..expected.len()).map(row_of).collect()
}

/// Finds a row for an expectation, moving others to another row where that makes room.
fn claim(
    index: usize,
    expected: &[Expectation<'_>],
    rows: &[Vec<Cell>],
    owner: &mut [Option<usize>],
    seen: &mut [bool],
) -> bool {
    // A free one first, so that the search is deep only where rows are contested.
    let fitting: Vec<usize> = (0..rows.len()).filter(|&row| expected[index].fits(&rows[row])).collect();
    if let Some(&row) = fitting.iter().find(|&&row| owner[row].is_none()) {
        owner[row] = Some(index);
        return true;
    }
    for row in fitting {
        if seen[row] {
            continue;
        }
        seen[row] = true;
        if owner[row].is_some_and(|other| claim(other, expected, rows, owner, seen)) {
            owner[row] = Some(index);
            return true;
        }
    }
    false
}

/// The columns that any expectation names; all of them when none does.
fn named(expected: &[Expectation<'_>], columns: usize) -> Vec<usize> {
    let is_named = |column: &usize| expected.iter().any(|expected| expected.places.contains(column));
    if expected.is_empty() { (0..columns).collect() } else { (0..columns).filter(is_named).collect() }
}

fn show(columns: &[String], row: &[Cell], places: &[usize]) -> String {
    let cell = |&place: &usize| Some(format!("{}: {}", columns.get(place)?, cut(shown(row.get(place)?))));
    format!("{{ {} }}", places.iter().filter_map(cell).collect::<Vec<_>>().join(", "))
}

fn cut(text: String) -> String {
    match text.char_indices().nth(CELL_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn count(rows: usize) -> String {
    format!("{rows} row{}", if rows == 1 { "" } else { "s" })
}
