//! Queries of read models, read only.

use super::{App, Options, Problem};
use crate::data_dir::DataDir;
use crate::read_model::{Cell, Error, Reader, ReaderLimits};
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use lantern_contract::manifest::check_name;
use serde::Deserialize;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// How often the live generation is looked up anew when it was deleted before it could be opened.
const TRIES_MAX: usize = 3;

/// What is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    sql: String,
}

/// Runs one statement on the generation that is live now.
pub(super) async fn query(
    State(app): State<App>,
    name: Result<Path<String>, PathRejection>,
    question: Result<Json<Question>, JsonRejection>,
) -> Result<Response, Problem> {
    let Path(name) = name?;
    let Json(Question { sql }) = question?;
    let wait = tokio::time::timeout(app.options.query_time_max(), app.queries.clone().acquire_owned()).await;
    let Ok(Ok(place)) = wait else {
        return Err(Problem::busy("as many queries run as may at a time: try again"));
    };
    let run = tokio::task::spawn_blocking(move || {
        let _place = place;
        answer(&app.data, &app.options, &name, &sql)
    });
    let body =
        run.await.map_err(|_| Problem::internal("the query panicked: this is a fault of Lantern"))??;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// The answer's JSON: it is bounded while it is made.
fn answer(data: &DataDir, options: &Options, name: &str, sql: &str) -> Result<Vec<u8>, Problem> {
    let (mut reader, generation) = open(data, name)?;
    let limits = ReaderLimits { time_max: options.query_time_max() };
    let mut head = String::new();
    let mut rows = Vec::new();
    let mut count = 0;
    let mut over = None;
    reader
        .query(
            sql,
            limits,
            // Names of columns always have a JSON form.
            |columns| head = serde_json::to_string(&columns).unwrap_or_default(),
            |row| {
                count += 1;
                over = append(&mut rows, count, &row, options);
                if over.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            },
        )
        .map_err(refused)?;
    if let Some(what) = over {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "too-much",
            "The query answers too much",
            format!("the query answers more than {what}: narrow it, or read it in parts with LIMIT"),
        ));
    }
    let mut body = format!("{{\"columns\":{head},\"rows\":[").into_bytes();
    body.append(&mut rows);
    // Writing into memory does not fail.
    let _ = write!(body, "],\"generation\":{generation}}}");
    Ok(body)
}

/// Appends a row; answers which limit it is over, if it is.
fn append(rows: &mut Vec<u8>, count: usize, row: &[Cell], options: &Options) -> Option<String> {
    if count > options.query_rows_max {
        return Some(format!("{} rows (http.query_rows_max)", options.query_rows_max));
    }
    if count > 1 {
        rows.push(b',');
    }
    // Values of SQLite always have a JSON form, and writing into memory does not fail.
    let _ = serde_json::to_writer(&mut *rows, row);
    (rows.len() > options.query_bytes_max)
        .then(|| format!("{} bytes (http.query_bytes_max)", options.query_bytes_max))
}

/// The live generation, and which it is. Opened for every query, so that a promotion is seen at once.
fn open(data: &DataDir, name: &str) -> Result<(Reader, u32), Problem> {
    let mut tried = 0;
    loop {
        let (path, generation) = live(data, name).ok_or_else(|| unknown(data, name))?;
        tried += 1;
        match Reader::open(&path) {
            Ok(reader) => return Ok((reader, generation)),
            // Promoted and cleaned up between the two steps.
            Err(_) if tried < TRIES_MAX && live(data, name).is_some_and(|(now, _)| now != path) => {}
            Err(_) if !path.exists() => return Err(unknown(data, name)),
            Err(error) => return Err(refused(error)),
        }
    }
}

/// The file behind the link of a read model, and its generation.
fn live(data: &DataDir, name: &str) -> Option<(PathBuf, u32)> {
    // A name that is none could lead out of the folder.
    check_name(name).ok()?;
    let target = std::fs::read_link(data.read_model(name)).ok()?;
    let generation = target.file_stem()?.to_str()?.parse().ok()?;
    Some((data.generation(name, generation), generation))
}

fn unknown(data: &DataDir, name: &str) -> Problem {
    let known = data.read_models();
    let known = if known.is_empty() { "there is none yet".into() } else { known.join(", ") };
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown-read-model",
        "There is no such read model",
        format!("there is no read model {name:?}; known: {known}"),
    )
}

fn refused(error: Error) -> Problem {
    let detail = error.to_string();
    match error {
        Error::Query(_) => {
            Problem::new(StatusCode::BAD_REQUEST, "query-refused", "The query is refused", detail)
        }
        error if error.is_transient() => Problem::busy(detail),
        _ => Problem::internal(detail),
    }
}
