//! The metrics endpoint, scraped over a real socket.

use falld::event::{Class, EventType};
use falld::metrics::serve::{OPEN_METRICS, bind, keep, serve};
use falld::metrics::{DropReason, Metrics};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

struct Endpoint {
    address: SocketAddr,
    healthy: Arc<AtomicBool>,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn endpoint() -> Endpoint {
    let metrics = Metrics::new();
    let bed = metrics.camera("bed");
    bed.frames.inc();
    bed.dropped(DropReason::Displaced);
    metrics.event("bed", Class::Fall, EventType::Fall);
    let listener = bind("127.0.0.1:0").await.expect("a free port");
    let (healthy, shutdown) = (Arc::new(AtomicBool::new(true)), CancellationToken::new());
    let state = Arc::clone(&healthy);
    let health = move || match state.load(Ordering::Relaxed) {
        true => Ok("watching 1 camera".to_owned()),
        false => Err("bed: lost".to_owned()),
    };
    let address = listener.local_addr().expect("an address");
    let task = tokio::spawn(serve(listener, Arc::new(metrics), health, shutdown.clone()));
    Endpoint { address, healthy, shutdown, task }
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(10), read).await.expect("in time").expect("read");
    String::from_utf8(answer).expect("text")
}

async fn get(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: falld\r\nConnection: close\r\n\r\n")).await
}

#[tokio::test]
async fn prometheus_scrapes_every_number() {
    let endpoint = endpoint().await;
    let answer = get(endpoint.address, "/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains(OPEN_METRICS) && answer.trim_end().ends_with("# EOF"), "{answer}");
    for line in [
        "falld_frames_total{camera=\"bed\"} 1",
        "falld_frames_dropped_total{camera=\"bed\",reason=\"displaced\"} 1",
        "falld_events_total{camera=\"bed\",class=\"fall\",type=\"fall\"} 1",
        "falld_inference_seconds_count 0",
    ] {
        assert!(answer.contains(line), "{line} is not in\n{answer}");
    }
}

#[tokio::test]
async fn health_is_what_the_daemon_says() {
    let endpoint = endpoint().await;
    let answer = get(endpoint.address, "/healthz").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("watching 1 camera\n"), "{answer}");
    endpoint.healthy.store(false, Ordering::Relaxed);
    let answer = get(endpoint.address, "/healthz").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.ends_with("bed: lost\n"), "{answer}");
}

#[tokio::test]
async fn what_it_does_not_serve_is_refused() {
    let endpoint = endpoint().await;
    assert!(get(endpoint.address, "/").await.starts_with("HTTP/1.1 404"));
    let post = "POST /metrics HTTP/1.1\r\nHost: falld\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    assert!(ask(endpoint.address, post).await.starts_with("HTTP/1.1 405"));
    assert!(ask(endpoint.address, "\u{0}\u{1} nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(20_000));
    assert!(ask(endpoint.address, &long).await.starts_with("HTTP/1.1 4"));
    let answer = get(endpoint.address, "/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "it is still there: {answer}");
}

#[tokio::test]
async fn silent_clients_do_not_keep_prometheus_out() {
    let endpoint = endpoint().await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(endpoint.address).await.expect("connected"));
    }
    // The silent ones are cut off after five seconds, in two waves of sixteen and one of eight.
    let scraped = tokio::time::timeout(Duration::from_secs(25), async {
        loop {
            let mut stream = TcpStream::connect(endpoint.address).await.expect("connected");
            stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await.expect("sent");
            let mut answer = String::new();
            if stream.read_to_string(&mut answer).await.is_ok() && answer.starts_with("HTTP/1.0 200") {
                break;
            }
        }
    });
    scraped.await.expect("in time");
}

#[tokio::test]
async fn a_port_in_use_is_said_with_its_mend() {
    let endpoint = endpoint().await;
    let error = bind(&endpoint.address.to_string()).await.expect_err("in use");
    assert!(error.contains("metrics.listen") && error.contains("another program"), "{error}");
}

#[tokio::test]
async fn it_ends_with_the_daemon() {
    let endpoint = endpoint().await;
    let _open = TcpStream::connect(endpoint.address).await.expect("connected");
    endpoint.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), endpoint.task).await.expect("in time").expect("ended");
}

/// What is logged, for whoever waits for it.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("the log")).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("the log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_port_that_is_taken_at_the_start_is_tried_until_it_is_free() {
    let log = Log::default();
    let writer = log.clone();
    let level = tracing::Level::DEBUG;
    let subscriber =
        tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(move || writer.clone()).finish();
    let _heard = tracing::subscriber::set_default(subscriber);
    let taken = bind("127.0.0.1:0").await.expect("a free port");
    let address = taken.local_addr().expect("an address");
    let shutdown = CancellationToken::new();
    let health = || Ok("watching 1 camera".to_owned());
    let pause = Duration::from_millis(5);
    let task = tokio::spawn(keep(address.to_string(), pause, Arc::new(Metrics::new()), health, shutdown.clone()));
    let served = async {
        // The first try is news, the next ones are not.
        while log.text().matches("still no metrics endpoint").count() < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(taken);
        while !log.text().contains("the metrics endpoint is there") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        get(address, "/healthz").await
    };
    let answer = tokio::time::timeout(Duration::from_secs(10), served).await.expect("in time");
    assert!(answer.ends_with("watching 1 camera\n"), "{answer}");
    let text = log.text();
    assert_eq!((text.matches("ERROR").count(), text.matches("INFO").count()), (1, 1), "{text}");
    assert!(text.contains("metrics.listen") && text.contains("another program"), "{text}");
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), task).await.expect("in time").expect("ended");
}
