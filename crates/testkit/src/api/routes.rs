//! From an HTTP request to its answer: who asks, what for, may they, what goes wrong on purpose, what comes of it.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, header, request::Parts};
use serde_json::json;

use super::{
    audit::Record,
    auth::User,
    discovery,
    faults::Fault,
    object, rbac,
    render::Render,
    request::{Query, Target},
    resources, review,
    shared::Shared,
    status::Failure,
    verbs::{self, Call, Outcome},
    watch::Watch,
};

/// As the real server: 3 MiB a request.
const MAX_BODY: usize = 3 * 1024 * 1024;

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection was cut")]
pub(crate) struct Cut;

/// A request with its body read.
struct Asked {
    parts: Parts,
    path: String,
    query: Query,
    target: Target,
    body: Bytes,
    at: jiff::Timestamp,
    /// The life of the server that the request came in.
    life: u64,
}

/// Answers a request.
///
/// The work runs in its own task: a client that gives up does not undo what it asked for, as on a real server.
pub(crate) async fn handle(
    shared: Arc<Shared>,
    request: Request<Body>,
) -> Result<Response<Body>, Cut> {
    let (mut parts, body) = request.into_parts();
    let path = take_user(&mut parts);
    let query = Query::parse(parts.uri.query().unwrap_or(""));
    let target = Target::parse(&parts.method, &path, &query);
    let body = to_bytes(body, MAX_BODY).await;
    let at = jiff::Timestamp::now();
    let thawed = shared.faults.thawed();
    let life = shared.life();
    let work = async move {
        thawed.await;
        let Ok(body) = body else {
            return Ok(refusal(&Failure::too_large(MAX_BODY)));
        };
        let asked = Asked {
            parts,
            path,
            query,
            target,
            body,
            at,
            life,
        };
        asked.answer(&shared).await
    };
    tokio::spawn(work).await.unwrap_or(Err(Cut))
}

// === impl Asked ===

impl Asked {
    async fn answer(&self, shared: &Arc<Shared>) -> Result<Response<Body>, Cut> {
        let user = shared.tokens.user(bearer(&self.parts.headers));
        let name = user
            .as_ref()
            .map_or(String::new(), |user| user.name.clone());
        let record = |code| shared.audit.record(self.record(name.clone(), code));
        let Ok(entry) = shared.faults.pass_gates(&self.target).await else {
            record(0);
            return Err(Cut);
        };
        if self.life != shared.life() {
            return Err(Cut);
        }
        let fault = shared.faults.take(&self.target);
        if fault == Some(Fault::Cut) {
            record(0);
            return Err(Cut);
        }
        let refused = fault.and_then(|fault| fault.refusal(&self.target));
        let response = match (refused, user) {
            (Some(failure), _) | (None, Err(failure)) => Err(failure),
            (None, Ok(user)) => self.authorized(shared, &user),
        };
        let response = response.unwrap_or_else(|failure| refusal(&failure));
        if entry.leave().await.is_err() || fault == Some(Fault::CutAfter) {
            record(0);
            return Err(Cut);
        }
        record(response.status().as_u16());
        Ok(response)
    }

    fn authorized(&self, shared: &Arc<Shared>, user: &User) -> Result<Response<Body>, Failure> {
        rbac::authorize(&shared.store, user, &self.target, &self.path)?;
        if let Some(document) =
            discovery::document(&self.path, text(&self.parts.headers, header::HOST))
        {
            return Ok(json_response(200, &document));
        }
        if self.target.resource.is_empty() {
            return other_path(&self.path);
        }
        if !discovery::has_group(&self.target.group) {
            return Ok(no_such_path());
        }
        if let Some(answer) = review::answer(shared, user, &self.target, self.body()) {
            return answer.map(|review| json_response(201, &review));
        }
        self.on_kind(shared)
    }

    fn on_kind(&self, shared: &Arc<Shared>) -> Result<Response<Body>, Failure> {
        let resource = resources::find(&self.target.group, &self.target.resource)
            .filter(|resource| resource.version == self.target.version)
            .ok_or_else(Failure::no_such_resource)?;
        if !resource.namespaced && !self.target.namespace.is_empty() && resource.kind != "Namespace"
        {
            return Err(Failure::no_such_resource());
        }
        let accept = text(&self.parts.headers, header::ACCEPT);
        let render = Render::negotiate(accept, self.query.get("includeObject"))?;
        if self.target.verb == "watch" {
            let watch = Watch::open(shared, resource, &self.target, &self.query, render)?;
            return Ok(response(
                200,
                "application/json",
                Body::from_stream(watch.into_stream()),
            ));
        }
        let call = Call {
            store: &shared.store,
            resource,
            target: &self.target,
            query: &self.query,
            body: self.body(),
            protect: shared.controllers_on(),
        };
        let (code, bytes) = match call.run()? {
            Outcome::One(code, object) => {
                // A Status, as a DELETE answers with, is not laid out as a table.
                let is_status = object["kind"] == "Status";
                let render = if is_status { Render::json() } else { render };
                (code, render.bytes(&render.one(resource, &object)))
            }
            Outcome::Many(items, metadata) => (200, render.many(resource, &items, metadata)),
        };
        Ok(response(code, render.content_type(), bytes.into()))
    }

    fn record(&self, user: String, code: u16) -> Record {
        let target = &self.target;
        Record {
            user,
            verb: target.verb,
            group: target.group.clone(),
            resource: target.rule_resource(),
            namespace: target.namespace.clone(),
            name: self.name(code),
            user_agent: text(&self.parts.headers, header::USER_AGENT).to_owned(),
            code,
            at: self.at,
        }
    }

    /// As the real server logs it: what is created is named once the body has been read, and who may not is not read.
    fn name(&self, code: u16) -> String {
        let target = &self.target;
        let is_read = target.verb == "create" && !matches!(code, 401 | 403);
        if !is_read || !target.name.is_empty() {
            return target.name.clone();
        }
        let body = self.body().parse("").unwrap_or_default();
        object::name(&body).to_owned()
    }

    fn body(&self) -> verbs::Body<'_> {
        let content_type = text(&self.parts.headers, header::CONTENT_TYPE);
        verbs::Body {
            content_type: content_type.split(';').next().unwrap_or("").trim(),
            bytes: &self.body,
        }
    }
}

/// Takes the `/as/TOKEN` off the path that [`super::Server::kubeconfig`] puts there, and makes it the bearer token.
///
/// kubectl sends no credentials over plain HTTP, but it keeps the path of the server's URL.
fn take_user(parts: &mut Parts) -> String {
    let path = parts.uri.path().to_owned();
    let Some(rest) = path.strip_prefix("/as/") else {
        return path;
    };
    let (token, rest) = rest.split_once('/').unwrap_or((rest, ""));
    if let Ok(value) = format!("Bearer {token}").parse() {
        parts.headers.insert(header::AUTHORIZATION, value);
    }
    format!("/{rest}")
}

fn other_path(path: &str) -> Result<Response<Body>, Failure> {
    match path {
        "/healthz" | "/livez" | "/readyz" => Ok(response(200, "text/plain", "ok".into())),
        _ if path.starts_with("/apis/") || path == "/" => Ok(no_such_path()),
        _ => Err(Failure::no_such_resource()),
    }
}

/// What Go's own multiplexer says, for groups that there are not.
fn no_such_path() -> Response<Body> {
    response(
        404,
        "text/plain; charset=utf-8",
        "404 page not found\n".into(),
    )
}

fn refusal(failure: &Failure) -> Response<Body> {
    let mut response = json_response(failure.code, &failure.body());
    if let Some(seconds) = failure.retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn json_response(code: u16, body: &serde_json::Value) -> Response<Body> {
    response(code, "application/json", json!(body).to_string().into())
}

fn response(code: u16, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        http::HeaderValue::from_static(content_type),
    );
    headers.insert(
        header::CACHE_CONTROL,
        http::HeaderValue::from_static("no-cache, private"),
    );
    response
}

fn bearer(headers: &HeaderMap) -> &str {
    text(headers, header::AUTHORIZATION)
        .strip_prefix("Bearer ")
        .unwrap_or("")
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
}
