//! A road between falld and its broker on which a story can do harm: close it, swallow or cut at acknowledgements.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What the road does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    Pass,
    /// Everything passes but the broker's acknowledgements.
    SwallowAcks,
    /// The next acknowledgement never arrives, and the connection breaks instead; then everything passes.
    CutAtAck,
    /// Connections stay, and nothing arrives any more.
    Frozen,
    /// Connections are closed at once.
    Closed,
}

#[derive(Debug, Default)]
struct Shared {
    mode: AtomicU8,
    /// Events that passed towards the broker.
    publishes: AtomicUsize,
    /// Connections that were closed at once.
    turned_away: AtomicUsize,
    cut: Notify,
}

#[derive(Debug)]
pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;

impl Proxy {
    /// A road from a port of its own to `target`.
    pub async fn start(target: u16, mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { mode: (mode as u8).into(), ..Shared::default() });
        let road = shared.clone();
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, target, road.clone()));
            }
        });
        Self { port, shared, task }
    }

    pub fn set(&self, mode: Mode) {
        self.shared.mode.store(mode as u8, Ordering::SeqCst);
        if mode == Mode::Closed {
            self.cut();
        }
    }

    /// Breaks every connection.
    pub fn cut(&self) {
        self.shared.cut.notify_waiters();
    }

    /// Events that passed towards the broker.
    pub fn publishes(&self) -> usize {
        self.shared.publishes.load(Ordering::SeqCst)
    }

    /// Connections that were closed at once.
    pub fn turned_away(&self) -> usize {
        self.shared.turned_away.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(near: TcpStream, target: u16, shared: Arc<Shared>) {
    if shared.mode.load(Ordering::SeqCst) == Mode::Closed as u8 {
        shared.turned_away.fetch_add(1, Ordering::SeqCst);
        return;
    }
    let Ok(far) = TcpStream::connect(("127.0.0.1", target)).await else { return };
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = shared.cut.notified() => {}
        () = pump(near_in, far_out, |first| {
            // QoS 1 alone: events.
            if first >> 4 == PUBLISH && first & 0b0110 != 0 {
                shared.publishes.fetch_add(1, Ordering::SeqCst);
            }
            if shared.mode.load(Ordering::SeqCst) == Mode::Frozen as u8 { Fate::Swallow } else { Fate::Pass }
        }) => {}
        () = pump(far_in, near_out, |first| {
            let mode = shared.mode.load(Ordering::SeqCst);
            match first >> 4 {
                _ if mode == Mode::Frozen as u8 => Fate::Swallow,
                PUBACK if mode == Mode::SwallowAcks as u8 => Fate::Swallow,
                PUBACK if mode == Mode::CutAtAck as u8 => {
                    shared.mode.store(Mode::Pass as u8, Ordering::SeqCst);
                    Fate::Cut
                }
                _ => Fate::Pass,
            }
        }) => {}
    }
}

enum Fate {
    Pass,
    Swallow,
    Cut,
}

/// Carries whole packets; `judge` sees each one's first byte.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, judge: impl Fn(u8) -> Fate) {
    loop {
        let Ok(first) = from.read_u8().await else { return };
        let mut packet = vec![first];
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            let Ok(byte) = from.read_u8().await else { return };
            packet.push(byte);
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let header = packet.len();
        packet.resize(header + length, 0);
        if from.read_exact(&mut packet[header..]).await.is_err() {
            return;
        }
        match judge(first) {
            Fate::Pass => {
                if to.write_all(&packet).await.is_err() {
                    return;
                }
            }
            Fate::Swallow => {}
            Fate::Cut => return,
        }
    }
}
