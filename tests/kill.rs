//! `kill -9` at random points of an event's road: what was committed arrives, whatever dies when.
//!
//! The test runs itself as a child that stores and publishes without a pause and says each id once its commit has
//! returned. 20 rounds; `FALLD_SOAK=1` makes 250. `FALLD_SEED` repeats a run's choices, though not the scheduler's.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs, reason = "a test fails by panicking")]
#![allow(unreachable_pub, dead_code, reason = "support is shared by several test programs")]

mod support {
    pub mod broker;
    pub mod dice;
    pub mod falld;
    pub mod proxy;
}

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::broker::{Mosquitto, OPEN};
use support::dice::Dice;
use support::falld::{Falld, Subscriber, broker_at, store_in};
use support::proxy::{Mode, Proxy};

const CHILD: &str = "FALLD_KILL_CHILD";
const PORT: &str = "FALLD_KILL_PORT";
const SAID: &str = "committed ";

/// The child: falls without end, two cameras, each said after its commit.
fn live(folder: &Path, port: u16) {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _context = runtime.enter();
    let falld = Falld::start(&store_in(folder), broker_at(port));
    let mut dice = Dice(u64::from(std::process::id()) * 2_654_435_761 + 1);
    loop {
        let (id, stored) = falld.fall(if dice.roll(2) == 0 { "bed" } else { "hall" });
        assert!(stored.durable);
        let mut out = std::io::stdout().lock();
        writeln!(out, "{SAID}{id} {}", stored.seq).unwrap();
        out.flush().unwrap();
        std::thread::sleep(Duration::from_micros(dice.roll(3000)));
    }
}

struct Life(Child);

impl Drop for Life {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// One life and its end; gives what was committed as far as it could be said.
fn round(folder: &Path, port: u16, dice: &mut Dice) -> Vec<(String, u64)> {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "falld_is_killed_at_random_points", "--nocapture"])
        .env(CHILD, folder)
        .env(PORT, port.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut life = Life(child);
    let mut out = BufReader::new(life.0.stdout.take().unwrap());
    let (sender, lines) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut line = String::new();
        // A last line without its end was cut off by the kill.
        while out.read_line(&mut line).is_ok_and(|read| read > 0) && line.ends_with('\n') {
            if let Some(said) = line.trim_end().strip_prefix(SAID) {
                let (id, seq) = said.split_once(' ').unwrap();
                let _unread = sender.send((id.to_owned(), seq.parse::<u64>().unwrap()));
            }
            line.clear();
        }
    });
    // Either at a random time, which may be before the store is open, or right behind a random commit.
    let by_time = dice.roll(3) == 0;
    let until = Instant::now() + Duration::from_millis(if by_time { dice.roll(150) } else { 10_000 });
    let commits = if by_time { u64::MAX } else { 1 + dice.roll(60) };
    let after = Duration::from_micros(dice.roll(4000));
    let mut committed = Vec::new();
    while (committed.len() as u64) < commits {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(said) => committed.push(said),
            Err(RecvTimeoutError::Timeout) if by_time => break,
            Err(error) => panic!("the child does not live: {error}"),
        }
    }
    std::thread::sleep(after);
    drop(life);
    reader.join().unwrap();
    committed.extend(lines.try_iter());
    committed
}

#[test]
fn falld_is_killed_at_random_points() {
    if let Ok(folder) = std::env::var(CHILD) {
        return live(&PathBuf::from(folder), std::env::var(PORT).unwrap().parse().unwrap());
    }
    let rounds = if std::env::var_os("FALLD_SOAK").is_some() { 250 } else { 20 };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    let seed = std::env::var("FALLD_SEED").map_or(now, |seed| seed.parse().unwrap());
    println!("FALLD_SEED={seed}");
    let mut dice = Dice(seed);
    let folder = tempfile::tempdir().unwrap();
    let mosquitto = Mosquitto::start(folder.path(), OPEN);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (road, mut subscriber) = runtime.block_on(async {
        (Proxy::start(mosquitto.port, Mode::Pass).await, Subscriber::new(mosquitto.port, "falld/house/+/event").await)
    });
    let mut committed: BTreeMap<u64, String> = BTreeMap::new();
    for number in 0..rounds {
        let mode = [Mode::Pass, Mode::Pass, Mode::CutAtAck, Mode::SwallowAcks, Mode::Closed];
        road.set(mode[dice.roll(mode.len() as u64) as usize]);
        let mut last = committed.last_key_value().map_or(0, |(seq, _)| *seq);
        for (id, seq) in round(folder.path(), road.port, &mut dice) {
            assert!(seq > last, "round {number}: {seq} after {last}");
            last = seq;
            committed.insert(seq, id);
        }
    }
    // The last life is allowed to finish its work.
    road.set(Mode::Pass);
    let mut arrived: HashMap<String, u64> = HashMap::new();
    let mut copies = 0;
    runtime.block_on(async {
        let falld = Falld::start(&store_in(folder.path()), broker_at(road.port));
        falld.delivered().await;
        falld.stop().await;
        while !committed.values().all(|id| arrived.contains_key(id)) {
            let event = subscriber.json().await;
            let (id, seq) = (event["id"].as_str().unwrap().to_owned(), event["seq"].as_u64().unwrap());
            let before = arrived.insert(id, seq);
            assert!(before.is_none_or(|before| before == seq), "one event, one number");
            copies += 1;
        }
    });
    let mut numbers: Vec<u64> = arrived.values().copied().collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), arrived.len(), "one number, one event");
    println!(
        "{rounds} kills, {} events committed, {} arrived in {copies} copies, none lost",
        committed.len(),
        arrived.len()
    );
    assert!(committed.len() > rounds);
}
