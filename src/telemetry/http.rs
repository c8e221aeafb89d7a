//! `/metrics`, `/healthz`, `/readyz` and `/version` on one port, over HTTP/1.1.
//!
//! A port that is taken is one log line and another try every half minute, not the end of the process: next to another pod on
//! the host's network the Go provisioner would have started too. Connections are bounded in number and in how long they may take to ask.
//! Refused here: anything but GET and HEAD, and anything that changes something.

mod answer;

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info, warn};

use super::{health::Health, metrics::Metrics};

/// Connections at once; those beyond wait in the kernel's queue.
const CONNECTIONS: usize = 64;
/// Time for the head of a request, also between two requests of one connection.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two attempts at a port that is taken.
const TAKEN: Duration = Duration::from_secs(30);

/// What the answers are made of; cheap to clone.
#[derive(Debug, Clone)]
pub struct Pages {
    /// For `/metrics`.
    pub metrics: Metrics,
    /// For `/healthz` and `/readyz`.
    pub health: Health,
}

/// Serves `pages` on `address` until `shutdown`; requests in flight are finished.
pub async fn run(address: SocketAddr, pages: Pages, shutdown: CancellationToken) {
    let listener = tokio::select! {
        listener = bind(address) => listener,
        () = shutdown.cancelled() => return,
    };
    serve(listener, pages, shutdown).await;
}

/// As [`run`], on a socket that listens already.
pub async fn serve(listener: TcpListener, pages: Pages, shutdown: CancellationToken) {
    let connections = TaskTracker::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    // The semaphore is never closed, so both arms of the select go on until shutdown.
    while let Ok(permit) = room.clone().acquire_owned().await {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream, pages.clone(), shutdown.clone(), permit))),
                Err(error) => refused(&error).await,
            },
            () = shutdown.cancelled() => break,
        }
    }
    connections.close();
    connections.wait().await;
}

async fn bind(address: SocketAddr) -> TcpListener {
    let mut said = false;
    loop {
        match TcpListener::bind(&*candidates(address)).await {
            Ok(listener) => {
                info!(%address, "metrics and health served");
                return listener;
            }
            Err(error) if said => {
                debug!(%address, error = &error as &dyn std::error::Error, "port still taken");
            }
            Err(error) => {
                warn!(%address, error = &error as &dyn std::error::Error, "metrics and health not served, trying again");
                said = true;
            }
        }
        sleep(TAKEN).await;
    }
}

/// What to try one after the other. A socket on `::` takes IPv4 too; a node whose kernel has no IPv6 takes only the second.
fn candidates(address: SocketAddr) -> Vec<SocketAddr> {
    let mut all = vec![address];
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        all.push((Ipv4Addr::UNSPECIFIED, address.port()).into());
    }
    all
}

async fn refused(error: &io::Error) {
    debug!(
        error = error as &dyn std::error::Error,
        "connection not accepted"
    );
    // Out of file descriptors: asking again at once would spin.
    sleep(Duration::from_millis(100)).await;
}

async fn connection(
    stream: TcpStream,
    pages: Pages,
    shutdown: CancellationToken,
    _room: OwnedSemaphorePermit,
) {
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let answer = answer::answer(&pages, request.method(), request.uri(), request.headers());
        async move { Ok::<Response<Full<Bytes>>, Infallible>(answer) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(16 * 1024);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(error = &error as &dyn std::error::Error, "connection ended");
    }
}

#[cfg(test)]
mod tests;
