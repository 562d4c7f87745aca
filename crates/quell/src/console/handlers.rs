//! One function for each path.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tokio::time::timeout;

use super::{Console, access, held};
use crate::ops::{self, ErrorKind, Status};

/// The desk must answer within this time.
const DESK: Duration = Duration::from_secs(5);
/// Largest body of a request.
const MAX_BODY_BYTES: usize = 16 << 10;
/// Storms listed.
const MAX_STORMS: usize = 1_000;

/// The client's address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub SocketAddr);

/// All paths, behind the check of who may.
pub(super) fn router(console: Arc<Console>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .route("/api/v1/storms", get(storms))
        .route("/api/v1/storms/{id}", get(storm))
        .route("/api/v1/storms/{id}/held", get(held::list))
        .route("/api/v1/storms/{id}/release", post(held::release))
        .route("/api/v1/storms/{id}/discard", post(held::discard))
        .fallback(|| async { failure(StatusCode::NOT_FOUND, "there is no such page") })
        .method_not_allowed_fallback(|| async {
            failure(StatusCode::METHOD_NOT_ALLOWED, "not with this method")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(Arc::clone(&console), guard))
        .with_state(console)
}

async fn guard(State(console): State<Arc<Console>>, mut request: Request, next: Next) -> Response {
    let Some(Peer(peer)) = request.extensions().get::<Peer>().copied() else {
        return failure(StatusCode::FORBIDDEN, "no client address");
    };
    let mut response = match access::check(&console, peer, request.method(), request.headers()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err((status, why)) => failure(status, why),
    };
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

pub(super) fn failure(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}

/// Asks the desk; a desk that is gone or silent is an answer, too.
pub(super) async fn ask(console: &Console, request: ops::Request) -> ops::Response {
    match timeout(DESK, (console.ask)(request)).await {
        Ok(Some(answer)) => answer,
        Ok(None) => ops::Response::error(ErrorKind::Away, "the server is stopping"),
        Err(_) => ops::Response::error(ErrorKind::Away, "the desk has not answered within 5 s"),
    }
}

fn of_failure(failed: &ops::Failure) -> Response {
    let status = match failed.kind {
        ErrorKind::BadRequest => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Away => StatusCode::SERVICE_UNAVAILABLE,
    };
    failure(status, &failed.message)
}

/// Any answer as JSON that has no form of its own here.
pub(super) fn plain(answer: &ops::Response) -> Response {
    match answer {
        ops::Response::Error(failed) => of_failure(failed),
        _ => Json(json!({ "done": true })).into_response(),
    }
}

/// The status, and why we are not well.
async fn look(console: &Console) -> (Option<Status>, Option<String>) {
    let (status, trouble) = match ask(console, ops::Request::Status {}).await {
        ops::Response::Status(status) => {
            let trouble = status.trouble.clone();
            (Some(status), trouble)
        }
        ops::Response::Error(failed) => (None, Some(failed.message)),
        _ => (None, Some("the desk gave a strange answer".to_owned())),
    };
    let trouble = trouble.or_else(|| console.metrics.trouble());
    console.metrics.set_healthy(trouble.is_none());
    (status, trouble)
}

async fn healthz(State(console): State<Arc<Console>>) -> Response {
    match look(&console).await.1 {
        None => "ok\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

/// The numbers; those of the desk as it last told them, if it does not answer.
async fn metrics(State(console): State<Arc<Console>>) -> Response {
    if let Some(status) = look(&console).await.0 {
        console.metrics.set_status(&status);
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], Body::from(console.metrics.text())).into_response()
}

async fn storms(State(console): State<Arc<Console>>) -> Response {
    match ask(&console, ops::Request::Storms { limit: MAX_STORMS }).await {
        ops::Response::Storms(storms) => Json(storms).into_response(),
        other => plain(&other),
    }
}

async fn storm(State(console): State<Arc<Console>>, Path(id): Path<String>) -> Response {
    match ask(&console, ops::Request::Storm { id }).await {
        ops::Response::Storm(shown) => Json(shown.storm).into_response(),
        other => plain(&other),
    }
}
