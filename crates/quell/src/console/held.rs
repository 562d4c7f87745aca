//! Held mail over HTTP: listed, let go, thrown away. Authors and subjects for the operator alone, who has
//! the token; no bodies.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::json;

use super::Console;
use super::access::Caller;
use super::handlers::{ask, failure, plain};
use crate::ops::{self, Changed, HeldWhich, Request, RowRef};

/// A wish is carried out for so long in one answer; the rest takes a further request.
const AT_ONCE: Duration = Duration::from_secs(10);
/// Rows listed without a limit.
const LISTED: usize = 100;

/// The body of a wish; without one the whole storm is meant.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wish {
    recipient: Option<String>,
    message: Option<String>,
    /// `next` of an earlier answer.
    after: Option<String>,
}

/// Where to go on, and how much.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    after: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    page: Result<Query<Page>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let Ok(Query(page)) = page else {
        return failure(StatusCode::BAD_REQUEST, "the query has `after` and `limit`, and nothing else");
    };
    let Ok(after) = page.after.as_deref().map(place).transpose() else { return no_place() };
    let which = HeldWhich { storm: Some(id), ..HeldWhich::default() };
    let request = Request::StormHeld { which, after, limit: page.limit.unwrap_or(LISTED) };
    match ask(&console, request).await {
        ops::Response::Held(mut found) => {
            if caller != Caller::Operator {
                found.rows.iter_mut().for_each(|row| (row.author, row.subject) = (None, None));
            }
            Json(json!({ "held": found.rows, "next": found.next.as_ref().map(name) })).into_response()
        }
        other => plain(&other),
    }
}

pub(super) async fn release(
    State(console): State<Arc<Console>>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    change(&console, id, body, |which, after| Request::StormRelease { which, after }).await
}

pub(super) async fn discard(
    State(console): State<Arc<Console>>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    change(&console, id, body, |which, after| Request::StormDiscard { which, after }).await
}

async fn change(
    console: &Console,
    id: String,
    body: Result<Bytes, BytesRejection>,
    request: impl Fn(HeldWhich, Option<RowRef>) -> Request,
) -> Response {
    let Ok(body) = body else { return failure(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large") };
    let wish = match body.trim_ascii() {
        b"" => Wish::default(),
        // An array would be taken for its members in their order.
        [b'[', ..] => return failure(StatusCode::BAD_REQUEST, "the body is no wish: an array"),
        body => match serde_json::from_slice(body) {
            Ok(wish) => wish,
            Err(why) => return failure(StatusCode::BAD_REQUEST, &format!("the body is no wish: {why}")),
        },
    };
    let Ok(mut after) = wish.after.as_deref().map(place).transpose() else { return no_place() };
    let which = HeldWhich { storm: Some(id), recipient: wish.recipient, message: wish.message };
    let (mut all, begun) = (Changed::default(), Instant::now());
    loop {
        match ask(console, request(which.clone(), after.take())).await {
            ops::Response::Changed(slice) => all.add(slice),
            // What earlier slices did is done, and can be asked for again.
            other => return plain(&other),
        }
        after.clone_from(&all.next);
        if after.is_none() || begun.elapsed() > AT_ONCE {
            break;
        }
    }
    let next = all.next.as_ref().map(name);
    Json(json!({ "done": all.done, "skipped": all.skipped, "refused": all.refused, "storm": all.storm, "next": next }))
        .into_response()
}

/// A place in a list as one word: the key, a colon, the recipient.
fn name(place: &RowRef) -> String {
    format!("{}:{}", place.key, place.recipient)
}

fn place(name: &str) -> Result<RowRef, ()> {
    let (key, recipient) = name.split_once(':').ok_or(())?;
    Ok(RowRef { key: key.to_owned(), recipient: recipient.to_owned() })
}

fn no_place() -> Response {
    failure(StatusCode::BAD_REQUEST, "`after` is the `next` of an earlier answer")
}
