//! A whole falld as a process, on a site of its own: configuration, store, cameras; gone with its guard.

use crate::support::broker::{PATIENCE, free_port};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use toml::{Table, Value};

/// A file of this repository.
pub fn of_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A clip that the repository ships: `fall.mp4` or `everyday.mp4`.
pub fn clip(name: &str) -> PathBuf {
    of_repository("tests/data").join(name)
}

/// ONNX Runtime, as `make` has put it.
pub fn runtime() -> PathBuf {
    std::env::var_os("ORT_DYLIB_PATH").map_or_else(|| of_repository(".falld/libonnxruntime.so"), PathBuf::from)
}

/// A folder with a configuration.
#[derive(Debug)]
pub struct Site {
    folder: tempfile::TempDir,
    table: Table,
    metrics: u16,
}

impl Site {
    /// A site whose broker listens on `port`, with the real model and no camera yet.
    pub fn new(port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut site = Self { folder, table: Table::new(), metrics: free_port() };
        let path = |path: PathBuf| path.to_str().unwrap().to_owned();
        site.set("device.id", "house");
        site.set("model.path", path(of_repository("models/bundle")));
        site.set("model.runtime", path(runtime()));
        site.set("model.providers", vec!["cpu"]);
        site.set("store.path", path(site.path("falld.db")));
        site.set("mqtt.host", "127.0.0.1");
        site.set("mqtt.port", i64::from(port));
        site.set("mqtt.keep_alive_s", 5);
        site.set("mqtt.will_delay_s", 0);
        site.set("metrics.listen", format!("127.0.0.1:{}", site.metrics));
        site
    }

    /// With a camera that plays a shipped clip.
    pub fn playing(port: u16, name: &str) -> Self {
        let mut site = Self::new(port);
        site.camera("room", clip(name).to_str().unwrap());
        site
    }

    /// Takes the smallest doubt for a fall: for stories about the road, which every judgement of the model must pass.
    pub fn anxious(&mut self) {
        self.set("policy.fall_threshold", 0.02);
    }

    /// Adds or changes a camera.
    pub fn camera(&mut self, id: &str, source: &str) {
        self.set(&format!("camera.{id}.source"), source);
    }

    /// Sets one key, as in `store.path`.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        let mut table = &mut self.table;
        let (sections, key) = key.rsplit_once('.').unwrap();
        for section in sections.split('.') {
            table = table.entry(section).or_insert(Value::Table(Table::new())).as_table_mut().unwrap();
        }
        table.insert(key.into(), value.into());
        self.write();
    }

    /// Removes a key or a section again.
    pub fn without(mut self, key: &str) -> Self {
        let mut table = &mut self.table;
        let (sections, key) = key.rsplit_once('.').unwrap();
        for section in sections.split('.') {
            table = table.get_mut(section).unwrap().as_table_mut().unwrap();
        }
        table.remove(key);
        self.write();
        self
    }

    fn write(&self) {
        std::fs::write(self.path("falld.toml"), self.table.to_string()).unwrap();
    }

    /// A file of the site.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command line of falld on this site.
    pub fn command(&self, arguments: &[&str]) -> Command {
        // With its parent's end comes its own, even if no destructor runs.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", env!("CARGO_BIN_EXE_falld"), "--config"]);
        command.arg(self.path("falld.toml")).args(arguments);
        command.env_remove("NOTIFY_SOCKET").env_remove("JOURNAL_STREAM").env_remove("ORT_DYLIB_PATH");
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command to its end: exit code, standard output and standard error.
    pub fn ask(&self, arguments: &[&str]) -> (i32, String, String) {
        let done = self.command(arguments).output().expect("setpriv and falld start");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (done.status.code().unwrap_or(-1), text(&done.stdout), text(&done.stderr))
    }

    /// Starts the daemon. Its log goes on after the log of the one before.
    pub fn start(&self) -> Running {
        self.start_with(|_| {})
    }

    /// Starts the daemon after a change of its command.
    pub fn start_with(&self, change: impl FnOnce(&mut Command)) -> Running {
        let path = self.path("falld.log");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
        let mut command = self.command(&["run"]);
        command.stdout(Stdio::null()).stderr(log);
        change(&mut command);
        Running { child: command.spawn().expect("setpriv and falld start"), log: path, metrics: self.metrics }
    }

    /// What the store holds: the ids of all events, in their order.
    pub fn stored(&self) -> Vec<String> {
        let Ok(store) = rusqlite::Connection::open(self.path("falld.db")) else { return Vec::new() };
        store.busy_timeout(Duration::from_secs(2)).unwrap();
        let Ok(mut query) = store.prepare("SELECT id FROM events ORDER BY seq") else { return Vec::new() };
        let rows = query.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }
}

/// A running daemon.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
    metrics: u16,
}

impl Running {
    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// How often its log has said `word`.
    pub fn said(&self, word: &str) -> usize {
        self.log().matches(word).count()
    }

    /// A path of its HTTP endpoint: status line and body; nothing while it does not listen.
    pub fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.metrics)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: falld\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// A number of `/metrics`, by the beginning of its line; zero while it is not there.
    pub fn number(&self, name: &str) -> f64 {
        let text = self.get("/metrics").unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
    }

    /// Waits until the daemon is at work.
    pub async fn ready(&self) {
        super::falld::until("falld is ready", || self.said(" ready ") > 0).await;
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Fails if it has ended by itself.
    pub fn must_live(&mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "falld has ended");
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub fn end(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "falld does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGTERM, and its end.
    pub fn stop(self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.end()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("falld said:\n{}", std::fs::read_to_string(&self.log).unwrap_or_default());
        }
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
