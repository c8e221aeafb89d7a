//! What an API server asks for with 429 Too Many Requests: to be left in peace for so many seconds (RFC 6585 section 4, RFC 9110 section 10.2.3).
//!
//! ```text
//! 429, header Retry-After ──noted──> Status with details.retryAfterSeconds ──of──> whoever made the request waits
//! ```
//! The client repeats nothing by itself: one that does is silent while it waits, and its pauses grow to minutes without anybody knowing why. Priority and
//! fairness answers in plain text and with the header only, which a client drops, so it is written to where errors keep it.

use std::time::Duration;

use futures::FutureExt;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Body, Bytes};
use kube::core::Status;
use serde_json::{Value, json};
use tower::BoxError;

/// A refusal is a few words; of a longer one only the code and the time matter.
const BODY_MAX: usize = 64 * 1024;

/// What 429 without a readable time is taken for: as much as an API server asks for that is not in great trouble.
const UNSAID: Duration = Duration::from_secs(1);

/// How long the API server asked not to be asked again, if that is what the error is.
pub fn of(error: &kube::Error) -> Option<Duration> {
    match error {
        kube::Error::Api(status) if status.code == 429 => Some(of_status(status).unwrap_or(UNSAID)),
        _ => None,
    }
}

/// The time that a refusal names.
pub fn of_status(status: &Status) -> Option<Duration> {
    let seconds = status.details.as_ref()?.retry_after_seconds;
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

/// An answer with the time of its header in its body, where the header has one.
///
/// # Errors
/// None of its own: what cannot be read is handed on as far as it was.
pub async fn noted<B>(answer: Response<B>) -> Result<Response<Either<B, Full<Bytes>>>, BoxError>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<BoxError>,
{
    if answer.status() != StatusCode::TOO_MANY_REQUESTS {
        return Ok(answer.map(Either::Left));
    }
    let (mut parts, body) = answer.into_parts();
    let text = Limited::new(body, BODY_MAX).collect().boxed().await;
    let text = text.map_or_else(|_| Bytes::new(), http_body_util::Collected::to_bytes);
    let mut status = read(&text);
    if let Some(seconds) = seconds(&parts.headers) {
        status["details"]["retryAfterSeconds"] = seconds.into();
    }
    let text = status.to_string();
    parts.headers.remove(http::header::CONTENT_LENGTH);
    Ok(Response::from_parts(parts, Either::Right(Full::from(text))))
}

/// The Status in an answer's body; one around its words where it has none.
fn read(text: &[u8]) -> Value {
    let status = serde_json::from_slice::<Status>(text).ok();
    let status = status.and_then(|status| serde_json::to_value(status).ok());
    let mut status = status.unwrap_or_else(|| {
        json!({"status": "Failure", "reason": "TooManyRequests", "message": String::from_utf8_lossy(text).trim()})
    });
    status["code"] = StatusCode::TOO_MANY_REQUESTS.as_u16().into();
    status
}

/// A date is allowed too, and no API server sends one.
fn seconds(headers: &HeaderMap) -> Option<u32> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::client::ClientBuilder;
    use std::convert::Infallible;
    use tower::util::AndThenLayer;

    /// What a client makes of an answer.
    async fn refused(code: u16, after: Option<&'static str>, body: &'static str) -> kube::Error {
        let service = tower::service_fn(move |_| async move {
            let mut answer = Response::builder().status(code);
            if let Some(after) = after {
                answer = answer.header(RETRY_AFTER, after);
            }
            Ok::<_, Infallible>(answer.body(Full::from(body)).unwrap())
        });
        let service = tower::ServiceExt::map_err(service, BoxError::from);
        let client = ClientBuilder::new(service, "default")
            .with_layer(&AndThenLayer::new(noted))
            .build();
        client.apiserver_version().await.unwrap_err()
    }

    #[tokio::test]
    async fn the_time_is_read_from_header_or_body_and_the_words_are_kept() {
        let status = r#"{"kind":"Status","message":"slowly","details":{"retryAfterSeconds":9}}"#;
        for (outcome, code, header, body, asked) in [
            (
                "as priority and fairness says it",
                429,
                Some("7"),
                "slowly\n",
                Some(7),
            ),
            ("as an object says it", 429, None, status, Some(9)),
            (
                "the header is the younger one",
                429,
                Some("7"),
                status,
                Some(7),
            ),
            ("without a time", 429, None, "slowly", Some(1)),
            (
                "with an unreadable one",
                429,
                Some("Fri, 31 Dec 1999"),
                "slowly",
                Some(1),
            ),
            ("another trouble", 503, Some("7"), "slowly", None),
        ] {
            let error = refused(code, header, body).await;
            assert_eq!(of(&error), asked.map(Duration::from_secs), "{outcome}");
            assert!(error.to_string().contains("slowly"), "{outcome}: {error}");
        }
    }
}
