//! Programs that a measurement needs beside it: gone with their guard, and with falld itself.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for a program to begin its work.
const START: Duration = Duration::from_secs(20);

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Program {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Program {
    /// Starts `program` with what `complete` adds. Its standard output and error land in `folder`, as `<name>.out` and
    /// `<name>.log`.
    pub(super) fn start(
        name: &str,
        program: &Path,
        folder: &Path,
        complete: impl FnOnce(&mut Command),
    ) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("cannot start {}: {error}", program.display());
        let log = folder.join(format!("{name}.log"));
        // With its parent's end comes its own, even if no destructor runs; a system without util-linux goes without.
        let mut command = match find("setpriv") {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "KILL", "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.stdin(Stdio::null());
        command.stdout(File::create(folder.join(format!("{name}.out"))).map_err(failed)?);
        command.stderr(File::create(&log).map_err(failed)?);
        complete(&mut command);
        let child = command.spawn().map_err(failed)?;
        Ok(Self { name: name.into(), log, child })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end, which must be a success, and returns what it wrote to standard output.
    pub(super) fn finish(mut self, limit: Duration) -> Result<String, String> {
        let begun = Instant::now();
        loop {
            match self.ended() {
                Some(status) if status.success() => {
                    let out = self.log.with_extension("out");
                    return std::fs::read_to_string(&out).map_err(|error| format!("{}: {error}", out.display()));
                }
                Some(status) => return Err(format!("{} ended with {status}: {}", self.name, self.said())),
                None if begun.elapsed() > limit => {
                    return Err(format!("{} did not end within {} s", self.name, limit.as_secs()));
                }
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// The last lines of its standard error.
    pub(super) fn said(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(4)..].join(" | ")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The place of a program on `PATH` or among the system's daemons.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// mosquitto on a free port of loopback, open to everybody.
#[derive(Debug)]
pub(super) struct Mosquitto {
    pub(super) port: u16,
    _program: Program,
}

impl Mosquitto {
    pub(super) fn start(folder: &Path) -> Result<Self, String> {
        let program = find("mosquitto").ok_or(
            "mosquitto is not installed, and every figure up to a subscriber needs a real broker: \
             `apt install mosquitto` (or `make bench`, which does it)",
        )?;
        let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).map_err(|it| it.to_string())?.port();
        let config = folder.join("mosquitto.conf");
        // As root mosquitto would change to a user who cannot read this folder.
        let text = format!("user root\nset_tcp_nodelay true\nlistener {port} 127.0.0.1\nallow_anonymous true\n");
        std::fs::write(&config, text).map_err(|error| format!("{}: {error}", config.display()))?;
        let mut program = Program::start("mosquitto", &program, folder, |command| {
            command.arg("-c").arg(&config);
        })?;
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if program.ended().is_some() || begun.elapsed() > START {
                return Err(format!("mosquitto does not listen: {}", program.said()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { port, _program: program })
    }
}
