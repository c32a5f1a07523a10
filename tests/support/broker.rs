//! Real brokers for stories: mosquitto on a free port, and the embedded one. Gone with their guard.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for anything in a story.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A running mosquitto.
#[derive(Debug)]
pub struct Mosquitto {
    pub port: u16,
    pub folder: PathBuf,
    child: Child,
}

/// The configuration that lets everybody in.
pub const OPEN: &str = "allow_anonymous true\n";

impl Mosquitto {
    /// Starts mosquitto in `folder` with `lines` of configuration after the listener.
    pub fn start(folder: &Path, lines: &str) -> Self {
        Self::start_on(free_port(), folder, lines)
    }

    pub fn start_on(port: u16, folder: &Path, lines: &str) -> Self {
        let config = folder.join("mosquitto.conf");
        // As root mosquitto would give up its rights and then fail to read the test's files.
        let text = format!(
            "log_type all\nuser root\nmax_queued_messages 100000\nset_tcp_nodelay true\nlistener {port} 127.0.0.1\n{lines}"
        );
        std::fs::write(&config, text).unwrap();
        let log = std::fs::File::create(folder.join("mosquitto.log")).unwrap();
        // With its parent's end comes its own, even if no destructor runs.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "/usr/sbin/mosquitto", "-c"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("mosquitto and setpriv are installed (make setup)");
        let mut broker = Self { port, folder: folder.into(), child };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = || std::fs::read_to_string(folder.join("mosquitto.log")).unwrap_or_default();
            assert!(broker.child.try_wait().unwrap().is_none(), "mosquitto ended: {}", log());
            assert!(begun.elapsed() < PATIENCE, "mosquitto does not listen: {}", log());
            std::thread::sleep(Duration::from_millis(10));
        }
        broker
    }

    /// Makes it read its password and ACL files again.
    pub fn reload(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.join("mosquitto.log")).unwrap_or_default();
            println!("mosquitto said:\n{log}");
        }
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Adds a user to a mosquitto password file.
pub fn add_user(file: &Path, user: &str, password: &str) {
    let create: &[&str] = if file.exists() { &["-b"] } else { &["-c", "-b"] };
    let done = Command::new("mosquitto_passwd").args(create).arg(file).args([user, password]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

/// Starts the embedded broker; it lives as long as the process.
pub fn embedded() -> u16 {
    let port = free_port();
    let config = format!(
        r#"
        id = 0
        [router]
        max_connections = 100
        max_outgoing_packet_count = 200
        max_segment_size = 1048576
        max_segment_count = 10
        [v5.1]
        name = "v5"
        listen = "127.0.0.1:{port}"
        next_connection_delay_ms = 1
        [v5.1.connections]
        connection_timeout_ms = 60000
        max_payload_size = 65536
        max_inflight_count = 100
        dynamic_filters = true
        "#
    );
    let config: rumqttd::Config = toml::from_str(&config).unwrap();
    std::thread::spawn(move || rumqttd::Broker::new(config).start().unwrap());
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < PATIENCE, "the embedded broker does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    port
}

/// A certificate authority, a server's and a client's certificate, made by openssl in `folder`.
pub fn certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        let done = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
        assert!(done.status.success(), "openssl {arguments}: {done:?}");
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for ca in ["ca", "stranger"] {
        openssl(&format!("req -x509 {key} -keyout {ca}.key -out {ca}.crt -days 2 -subj /CN=test-{ca}"));
    }
    std::fs::write(folder.join("san"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
    for name in ["server", "client"] {
        openssl(&format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out {name}.crt -days 2 -extfile san"
        ));
    }
}
