//! Shows the whole road once: a broker, falld on a camera, and a subscriber that knows nothing of falld.
//!
//! Without an argument it plays the clip that the repository ships, waits for the alert and what is shown of it, and exits 0; exit 1 means that
//! no alert came. With a source (`rtsp://…`, `/dev/video0`, a file) it shows what falld publishes until Ctrl-C or the
//! end of the file.

#![allow(clippy::print_stdout, reason = "this program talks to a person")]

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use serde_json::Value;
use std::error::Error;
use std::io::IsTerminal as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::process::{Child, Command};

#[allow(clippy::print_stderr, reason = "its thread has nobody else to tell of an error")]
#[path = "../tests/support/embedded.rs"]
mod embedded;

/// The clip lasts some ten seconds; loading takes one or two, more on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(90);

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string()),
    };
    match runtime.block_on(demo(std::env::args().nth(1))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => fail("no alert came"),
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(text: &str) -> ExitCode {
    println!("demo: {text}");
    ExitCode::FAILURE
}

async fn demo(source: Option<String>) -> Result<bool, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let clip = root.join("tests/data/fall.mp4");
    let own = source.is_some();
    let source = source.unwrap_or_else(|| clip.display().to_string());
    let folder = tempfile::tempdir()?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    embedded::start(port)?;
    say("broker", &format!("rumqttd, embedded, on 127.0.0.1:{port}"));
    say("camera", &source);

    let (client, mut events) = subscriber(port);
    client.subscribe("falld/demo/+/event", QoS::AtLeastOnce).await?;
    client.subscribe("falld/demo/+/state", QoS::AtMostOnce).await?;
    client.subscribe("falld/demo/+/evidence", QoS::AtMostOnce).await?;
    say("subscriber", "falld/demo/+/event, another MQTT client");

    let mut falld = start(root, folder.path(), port, &source)?;
    let patience = tokio::time::sleep(if own { Duration::MAX / 4 } else { PATIENCE });
    tokio::pin!(patience);
    let (mut alerted, mut shown) = (false, false);
    while own || !(alerted && shown) {
        tokio::select! {
            message = next(&mut events) => {
                let (topic, payload) = message?;
                if topic.ends_with("/evidence") {
                    show_evidence(&payload)?;
                    shown = true;
                    continue;
                }
                let Ok(message) = serde_json::from_slice::<Value>(&payload) else { continue };
                if topic.ends_with("/state") {
                    show_state(&message);
                } else {
                    alerted |= show_event(&message);
                }
            }
            status = falld.wait() => {
                let status = status?;
                say("falld", &format!("ended: {status}"));
                return Ok(alerted || (own && status.success()));
            }
            _ = tokio::signal::ctrl_c(), if own => {
                alerted = true;
                break;
            }
            () = &mut patience => break,
        }
    }
    if alerted && !own && !shown {
        say("evidence", "none came");
    }
    stop(&mut falld).await?;
    Ok(alerted)
}

/// One configuration file, as an installer would write it.
fn start(root: &Path, folder: &Path, port: u16, source: &str) -> Result<Child, Box<dyn Error>> {
    let config = folder.join("falld.toml");
    let quote = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let text = format!(
        "[device]\nid = \"demo\"\n\n[camera.room]\nsource = {}\n\n[model]\npath = {}\ncache = {}\n\n\
         [store]\npath = {}\n\n[mqtt]\nhost = \"127.0.0.1\"\nport = {port}\n\n[metrics]\nlisten = \"\"\n\n\
         [log]\nlevel = \"error\"\n",
        quote(source),
        quote(&root.join("models/bundle").display().to_string()),
        quote(&folder.join("engines").display().to_string()),
        quote(&folder.join("falld.db").display().to_string()),
    );
    std::fs::write(&config, text)?;
    let program = program()?;
    Ok(Command::new(program).arg("run").arg("--config").arg(config).kill_on_drop(true).spawn()?)
}

/// The falld that was built beside this program.
fn program() -> Result<PathBuf, Box<dyn Error>> {
    let here = std::env::current_exe()?;
    let program = here.ancestors().nth(2).map(|folder| folder.join("falld")).filter(|path| path.is_file());
    program.ok_or_else(|| "falld is not built: run `make demo`".into())
}

fn subscriber(port: u16) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new("caregiver", "127.0.0.1", port);
    options.set_keep_alive(Duration::from_secs(5));
    // Evidence is larger than what the client takes otherwise.
    options.set_max_packet_size(Some(1 << 20));
    let mut network = options.network_options();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    AsyncClient::new(options, 16)
}

async fn next(events: &mut EventLoop) -> Result<(String, Vec<u8>), Box<dyn Error>> {
    loop {
        if let Event::Incoming(Packet::Publish(publish)) = events.poll().await? {
            return Ok((String::from_utf8_lossy(&publish.topic).into_owned(), publish.payload.to_vec()));
        }
    }
}

/// Keeps the picture beside the program.
fn show_evidence(gif: &[u8]) -> Result<(), Box<dyn Error>> {
    let path = program()?.with_file_name("alert.gif");
    std::fs::write(&path, gif)?;
    say("evidence", &format!("{:.1} kB, how they moved: {}", gif.len() as f64 / 1e3, path.display()));
    Ok(())
}

fn show_state(state: &Value) {
    let text = |key: &str| state.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
    say("state", &format!("{}: {}, fall {}", text("camera"), text("health"), text("fall")));
}

/// Prints one event as it was received. True for an alert.
fn show_event(event: &Value) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64);
    let since = |key: &str| {
        event["ledger"][key].as_i64().map_or_else(|| "?".into(), |us| format!("{:.1} ms", (now - us) as f64 / 1000.0))
    };
    let kind = event["type"].as_str().unwrap_or("?");
    let bold = if std::io::stdout().is_terminal() { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    println!();
    println!(
        "  {}{}{} in `{}`, score {:.2}",
        bold.0,
        kind.to_uppercase(),
        bold.1,
        event["camera"].as_str().unwrap_or("?"),
        event["score"].as_f64().unwrap_or(f64::NAN)
    );
    println!("  received {} after the decision, {} after the picture", since("decided_us"), since("captured_us"));
    println!("  {event}");
    println!();
    matches!(kind, "fall" | "climb" | "long_lie")
}

fn say(who: &str, what: &str) {
    println!("  {who:<11} {what}");
}

/// As systemd would: SIGTERM, and wait for the drain.
async fn stop(falld: &mut Child) -> Result<(), Box<dyn Error>> {
    if let Some(pid) = falld.id().and_then(|pid| rustix::process::Pid::from_raw(pid as i32)) {
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    }
    match tokio::time::timeout(Duration::from_secs(10), falld.wait()).await {
        Ok(status) => say("falld", &format!("stopped: {}", status?)),
        Err(_) => falld.kill().await?,
    }
    Ok(())
}
