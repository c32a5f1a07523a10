//! The endpoint that Prometheus and health checks read: `/metrics` and `/healthz`, HTTP/1.1, read only.
//!
//! Hyper speaks HTTP, because a reader behind a proxy may send anything; a router is not needed for two paths. A client
//! cannot hold the daemon up: connections are few, headers must come within seconds, and a connection ends after half a
//! minute whatever it does.

use super::Metrics;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Content type of OpenMetrics text.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One Prometheus, one health check, a person or two; the rest wait in the kernel's queue.
const CONNECTIONS: usize = 16;

/// A client on the same network sends its few headers at once.
const HEADERS_WITHIN: Duration = Duration::from_secs(5);

/// Prometheus comes back every 15 to 60 s; it may open a new connection then.
const CONNECTION_LIFE: Duration = Duration::from_secs(30);

/// The largest request head, and the least that hyper accepts.
const LARGEST_HEAD: usize = 8192;

/// What `/healthz` answers: `Ok` with 200, `Err` with 503, each with a line for people.
pub type Health = Result<String, String>;

/// Opens the endpoint. The error names the key and the mend.
pub async fn bind(listen: &str) -> Result<TcpListener, String> {
    TcpListener::bind(listen).await.map_err(|error| {
        let mend = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "another program (or another falld) has this port: choose another, or \"\" for none"
            }
            io::ErrorKind::PermissionDenied => "choose a port above 1023",
            io::ErrorKind::AddrNotAvailable => "choose an address of this machine, as 127.0.0.1",
            _ => "choose an address and port of this machine",
        };
        format!("metrics.listen = \"{listen}\": {error}; {mend}")
    })
}

/// Opens the endpoint, again and again until it can be opened, and answers until `shutdown`. At the start the machine may not have its
/// address yet, or somebody else the port for a moment; neither must keep the house unwatched, or its numbers away for good.
pub async fn keep(
    listen: String,
    pause: Duration,
    metrics: Arc<Metrics>,
    health: impl Fn() -> Health + Send + Sync + 'static,
    shutdown: CancellationToken,
) {
    let mut told = false;
    let listener = loop {
        match bind(&listen).await {
            Ok(listener) => break listener,
            Err(error) if !told => {
                let seconds = pause.as_secs();
                tracing::error!(%error, "no metrics endpoint: falld works without it, and tries again every {seconds} s");
                told = true;
            }
            Err(error) => tracing::debug!(%error, "still no metrics endpoint"),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => return,
        }
    };
    if told {
        tracing::info!(listen, "the metrics endpoint is there");
    }
    serve(listener, metrics, health, shutdown).await;
}

/// Answers until `shutdown`. `health` is asked at each `/healthz` and must not block.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    health: impl Fn() -> Health + Send + Sync + 'static,
    shutdown: CancellationToken,
) {
    let health = Arc::new(health);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, or a client that left: neither is mended by trying at once.
                    tracing::debug!(%error, "the metrics endpoint could not accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = shutdown.cancelled() => return,
        };
        let (metrics, health, shutdown) = (Arc::clone(&metrics), Arc::clone(&health), shutdown.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = connection(stream, &metrics, &*health) => {}
                () = tokio::time::sleep(CONNECTION_LIFE) => {}
                () = shutdown.cancelled() => {}
            }
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, metrics: &Metrics, health: &(impl Fn() -> Health + Sync)) {
    let service = service_fn(|request: Request<Incoming>| async move {
        Ok::<_, Infallible>(answer(request.method(), request.uri().path(), metrics, health))
    });
    let result = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = result {
        tracing::trace!(%error, "a client of the metrics endpoint failed");
    }
}

fn answer(method: &Method, path: &str, metrics: &Metrics, health: &impl Fn() -> Health) -> Response<Full<Bytes>> {
    let plain = "text/plain; charset=utf-8";
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, plain, "only GET and HEAD\n".into());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/metrics" => match metrics.render() {
            Ok(numbers) => text(StatusCode::OK, OPEN_METRICS, numbers),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, plain, format!("{error}\n")),
        },
        "/healthz" => match health() {
            Ok(line) => text(StatusCode::OK, plain, format!("{line}\n")),
            Err(line) => text(StatusCode::SERVICE_UNAVAILABLE, plain, format!("{line}\n")),
        },
        _ => text(StatusCode::NOT_FOUND, plain, "here are /metrics and /healthz\n".into()),
    }
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
