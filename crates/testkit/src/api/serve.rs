//! Listening, and stopping at once: what a killed API server looks like from outside.

use std::sync::Arc;

use axum::body::Body;
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{routes, shared::Shared};

/// Serves until `stop`; then the listener and every connection are closed, answered or not.
pub(crate) async fn run(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, most likely; others are in use and will be given back.
            tokio::task::yield_now().await;
            continue;
        };
        let (shared, stop) = (shared.clone(), stop.clone());
        connections.spawn(async move {
            stop.run_until_cancelled(connection(stream, shared)).await;
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    // Small writes follow each other on a watch; with Nagle's algorithm each would wait for the one before.
    if let Err(why) = stream.set_nodelay(true) {
        tracing::debug!(error = &why as &dyn std::error::Error, "no TCP_NODELAY");
    }
    let service = service_fn(|request: Request<Incoming>| {
        routes::handle(shared.clone(), request.map(Body::new))
    });
    let served = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(why) = served {
        tracing::debug!(error = &why as &dyn std::error::Error, "connection ended");
    }
}
