//! Beginning and end: signals, what systemd is told, and the watchdog.
//!
//! The first SIGTERM or SIGINT cancels one token, and everything drains; a second one ends the process at once, which is
//! safe because the store is durable. SIGHUP asks for a reload. The signals have a thread of their own, so a runtime
//! that hangs can still be ended.

pub mod heartbeat;
pub mod notify;

use crate::exit::Exit;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// A library's exit handler may hang; after so long the kernel ends the process.
const LAST_RESORT: Duration = Duration::from_secs(1);

/// What the signals ask for.
#[derive(Debug, Clone)]
pub struct Signals {
    /// Cancelled by the first SIGTERM or SIGINT. Everything that runs holds a clone or a child.
    pub shutdown: CancellationToken,
    /// Notified by each SIGHUP; several before a wait are one.
    pub reload: Arc<Notify>,
}

/// Starts to listen to signals. From the return on none of them kills the process by its default.
pub fn listen() -> io::Result<Signals> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let guard = runtime.enter();
    let streams = Streams {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
        hangup: signal(SignalKind::hangup())?,
    };
    drop(guard);
    let signals = Signals { shutdown: CancellationToken::new(), reload: Arc::default() };
    let heard = signals.clone();
    thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(streams.serve(heard)))?;
    Ok(signals)
}

struct Streams {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Streams {
    async fn serve(mut self, signals: Signals) {
        loop {
            let exit = tokio::select! {
                Some(()) = self.terminate.recv() => Exit::Terminated,
                Some(()) = self.interrupt.recv() => Exit::Interrupted,
                Some(()) = self.hangup.recv() => {
                    signals.reload.notify_one();
                    continue;
                }
                else => return,
            };
            let name = if exit == Exit::Terminated { "SIGTERM" } else { "SIGINT" };
            if signals.shutdown.is_cancelled() {
                tracing::warn!(signal = name, "second signal: ending at once");
                end(exit);
            }
            tracing::info!(signal = name, "shutting down");
            signals.shutdown.cancel();
        }
    }
}

/// Ends the process now, whatever its other threads hang in: a read in a camera's driver, an exit handler of a library
/// that waits for it. The store must be closed, or may be cut off.
pub fn end(exit: Exit) -> ! {
    // Ignored: without this thread the exit below merely has nobody to hurry it.
    let _ = thread::Builder::new().name("last-resort".into()).spawn(|| {
        thread::sleep(LAST_RESORT);
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
    });
    std::process::exit(exit.code().into())
}
