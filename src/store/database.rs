//! The SQL, and nothing but the SQL: schema, insert, load, receipt, retention.

use crate::event::payload::ModelRef;
use crate::event::{Class, EventType, Unfinished};
use crate::frame::Moment;
use crate::store::row::{Context, Receipt, Row, Times};
use rusqlite::{Connection, OptionalExtension, Result, params};
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

/// What `user_version` holds. A file with a higher one was written by a newer falld and is left alone.
pub(crate) const SCHEMA_VERSION: i64 = 1;

/// `outbox` holds what the broker has not acknowledged; a row there always has its row in `events`.
const SCHEMA: &str = "
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    incident TEXT NOT NULL,
    device TEXT NOT NULL,
    camera TEXT NOT NULL,
    type TEXT NOT NULL,
    class TEXT NOT NULL,
    score REAL NOT NULL,
    model_name TEXT NOT NULL,
    model_version TEXT NOT NULL,
    model_sha256 TEXT NOT NULL,
    captured_us INTEGER NOT NULL,
    scored_us INTEGER NOT NULL,
    decided_us INTEGER NOT NULL,
    stored_us INTEGER NOT NULL,
    process TEXT NOT NULL,
    stored_moment_us INTEGER NOT NULL,
    published_us INTEGER,
    acknowledged_us INTEGER,
    place TEXT,
    first_seq INTEGER
) STRICT;
CREATE INDEX events_by_acknowledgement ON events(acknowledged_us) WHERE acknowledged_us IS NOT NULL;
CREATE TABLE outbox (seq INTEGER PRIMARY KEY REFERENCES events(seq), camera TEXT NOT NULL) STRICT;
CREATE INDEX outbox_by_camera ON outbox(camera, seq);
";

const COLUMNS: &str = "seq, id, incident, device, camera, type, class, score, model_name, model_version, model_sha256,
    captured_us, scored_us, decided_us, stored_us, process, stored_moment_us";
/// Null in the outbox, but for what was delivered once and is told again.
const DELIVERED: &str = "acknowledged_us";

/// Where somebody climbed: a column that the first files have not.
const PLACE: &str = "place";
/// Columns that the first files have not, and their types. An older falld leaves them empty, so they make no new version.
/// `first_seq` is the number under which an event was stored, if it has another now.
const ADDED: [(&str, &str); 2] = [(PLACE, "TEXT"), ("first_seq", "INTEGER")];

/// How hard a connection pushes its commits to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    /// fsync before the commit returns: for events.
    Full,
    /// No fsync: for receipts, and for what is told again. A receipt lost in a power cut costs a duplicate with the same id, never
    /// an event; the other is an event that somebody has heard.
    Normal,
}

/// Sets up a connection. Checkpoints are made by the worker, never on the road of an alert.
pub(crate) fn prepare(connection: &Connection, sync: Sync) -> Result<()> {
    // Only `doctor` and curious people write or read beside us; a commit takes milliseconds.
    connection.busy_timeout(Duration::from_secs(2))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", if sync == Sync::Full { "FULL" } else { "NORMAL" })?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "foreign_keys", true)
}

/// Fails if nothing can be written. On a file that may only be read SQLite opens without a word and makes a reading
/// transaction of a writing one.
pub(crate) fn writable(connection: &Connection) -> Result<()> {
    if connection.is_readonly(rusqlite::MAIN_DB)? {
        return Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY), None));
    }
    connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK")
}

/// The schema's version; zero for an empty file.
pub(crate) fn version(connection: &Connection) -> Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Makes the tables of an empty file, whose numbers go on after `last` and whose outbox holds `rows`: all or nothing.
pub(crate) fn create(connection: &mut Connection, last: u64, rows: &[Row]) -> Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    skip_to(&transaction, last)?;
    for row in rows {
        insert(&transaction, row, None, "")?;
    }
    transaction.commit()
}

/// Adds to one of the first files what it has not.
pub(crate) fn complete(connection: &Connection) -> Result<()> {
    for (column, kind) in ADDED {
        if !has(connection, column)? {
            connection.execute_batch(&format!("ALTER TABLE events ADD COLUMN {column} {kind}"))?;
        }
    }
    Ok(())
}

fn has(connection: &Connection, column: &str) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pragma_table_info('events') WHERE name = ?1)";
    connection.query_row(sql, [column], |row| row.get(0))
}

/// The highest number ever given, zero for none.
pub(crate) fn last_seq(connection: &Connection) -> Result<u64> {
    let seq: Option<i64> = connection
        .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'events'", [], |row| row.get(0))
        .optional()?;
    Ok(seq.and_then(|seq| u64::try_from(seq).ok()).unwrap_or(0))
}

/// Makes the next event's number greater than `seq`.
fn skip_to(connection: &Connection, seq: u64) -> Result<()> {
    connection.execute("DELETE FROM sqlite_sequence WHERE name = 'events'", [])?;
    connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?1)", [signed(seq)])?;
    Ok(())
}

/// Writes one event, and its outbox row unless it has been delivered already. Repeating it changes nothing: a commit
/// whose outcome is unknown is simply tried again. A number that another event has is an error, or that one would be sent
/// in the place of this one.
pub(crate) fn insert(connection: &Connection, row: &Row, receipt: Option<&Receipt>, process: &str) -> Result<()> {
    let sql = format!(
        "INSERT INTO events ({COLUMNS}, {PLACE}, published_us, acknowledged_us)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)
         ON CONFLICT(id) DO NOTHING"
    );
    connection.prepare_cached(&sql)?.execute(params![
        signed(row.seq),
        row.id.to_string(),
        row.incident.to_string(),
        row.context.device,
        row.camera,
        row.event.as_str(),
        row.class.as_str(),
        f64::from(row.score),
        row.context.model.name,
        row.context.model.version,
        row.context.model.sha256,
        row.times.captured,
        row.times.scored,
        row.times.decided,
        row.times.stored,
        if row.anchor.is_some() { process } else { "" },
        row.anchor.map_or(0, |anchor| i64::try_from(anchor.as_micros()).unwrap_or(0)),
        row.place,
        receipt.map(|receipt| receipt.published_us),
        receipt.map(|receipt| receipt.acknowledged_us),
    ])?;
    if receipt.is_none() {
        connection
            .prepare_cached("INSERT OR IGNORE INTO outbox (seq, camera) SELECT seq, camera FROM events WHERE id = ?1")?
            .execute([row.id.to_string()])?;
    }
    Ok(())
}

/// The broker has it: out of the outbox, and its times into the event. Of what is told again the first ones stay.
pub(crate) fn deliver(connection: &Connection, receipt: &Receipt) -> Result<()> {
    connection.prepare_cached("DELETE FROM outbox WHERE seq = ?1")?.execute([signed(receipt.seq)])?;
    connection
        .prepare_cached(
            "UPDATE events SET stored_us = ?2, published_us = ?3, acknowledged_us = ?4
             WHERE seq = ?1 AND acknowledged_us IS NULL",
        )?
        .execute(params![signed(receipt.seq), receipt.stored_us, receipt.published_us, receipt.acknowledged_us])?;
    Ok(())
}

/// Undelivered events of `camera` after `after`, oldest first, at most `limit`. A row that cannot be understood is
/// handed to `damaged` by its number and left where it is.
pub(crate) fn undelivered(
    connection: &Connection,
    camera: &str,
    after: u64,
    limit: usize,
    process: &str,
    damaged: impl FnMut(u64),
) -> Result<Vec<Row>> {
    let sql = format!(
        "SELECT {COLUMNS}, {PLACE}, {DELIVERED} FROM events WHERE seq IN
         (SELECT seq FROM outbox WHERE camera = ?1 AND seq > ?2) ORDER BY seq"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    collect(statement.query(params![camera, signed(after)])?, limit, process, damaged)
}

/// Where the numbers of what waits can be read, and in which order.
const WAITING: [[&str; 2]; 3] = [
    ["outbox NOT INDEXED ORDER BY seq", "outbox NOT INDEXED ORDER BY seq DESC"],
    [
        "outbox INDEXED BY outbox_by_camera ORDER BY camera, seq",
        "outbox INDEXED BY outbox_by_camera ORDER BY camera DESC, seq DESC",
    ],
    [
        "events NOT INDEXED WHERE acknowledged_us IS NULL ORDER BY seq",
        "events NOT INDEXED WHERE acknowledged_us IS NULL ORDER BY seq DESC",
    ],
];

/// Every undelivered event that can still be read from a damaged file, oldest first. What waits is asked wherever it
/// stands, from both ends, for a reading ends at the first broken page; then each event is read alone.
pub(crate) fn salvage(connection: &Connection) -> Vec<Row> {
    let mut waiting = BTreeSet::new();
    for place in WAITING.as_flattened() {
        let Ok(mut statement) = connection.prepare(&format!("SELECT seq FROM {place}")) else { continue };
        let Ok(numbers) = statement.query_map([], |row| row.get::<_, i64>(0)) else { continue };
        waiting.extend(numbers.map_while(Result::ok));
    }
    let place = if has(connection, PLACE).unwrap_or(true) { PLACE } else { "NULL" };
    let Ok(mut event) =
        connection.prepare(&format!("SELECT {COLUMNS}, {place}, {DELIVERED} FROM events WHERE seq = ?1"))
    else {
        return Vec::new();
    };
    waiting.iter().filter_map(|seq| event.query_row([seq], |row| Ok(parse(row, ""))).ok().flatten()).collect()
}

/// Gives undelivered events the numbers after `last`, in their order: all or none. A transaction for each would fill the
/// log of a disk that has just got a little room. When they were told, among the others, their first number goes on to say.
pub(crate) fn renumber(connection: &Connection, rows: &mut [Row], last: u64) -> Result<()> {
    let transaction = connection.unchecked_transaction()?;
    for (row, to) in rows.iter_mut().zip(last + 1..) {
        transaction.execute("DELETE FROM outbox WHERE seq = ?1", [signed(row.seq)])?;
        transaction.execute(
            "UPDATE events SET seq = ?2, first_seq = coalesce(first_seq, seq) WHERE seq = ?1",
            [signed(row.seq), signed(to)],
        )?;
        transaction.execute("INSERT INTO outbox (seq, camera) VALUES (?1, ?2)", params![signed(to), row.camera])?;
        row.seq = to;
    }
    if let Some(row) = rows.last() {
        skip_to(&transaction, row.seq)?;
    }
    transaction.commit()
}

/// Cameras with undelivered events.
pub(crate) fn waiting_cameras(connection: &Connection) -> Result<Vec<String>> {
    connection.prepare("SELECT DISTINCT camera FROM outbox ORDER BY camera")?.query_map([], |row| row.get(0))?.collect()
}

/// The last incident of each camera and class, if it has not ended and its last word came after `since_us`. Last by the number
/// that it was given first: what waited for a disk has a younger one than what was told meanwhile, and a clock that is
/// behind after a power cut would put the newest alarm before an older end. An end holds for ever; a long lie until
/// somebody falls anew in that incident, an acknowledgement until somebody is called anew. The subqueries walk a month of events at most, once at a start.
pub(crate) fn unfinished(connection: &Connection, since_us: i64) -> Result<Vec<Unfinished>> {
    let sql = "WITH words AS (SELECT *, coalesce(first_seq, seq) AS told FROM events WHERE type != 'test'),
        alerts AS (SELECT incident, class, max(told) AS last, max(told) FILTER (WHERE type != 'long_lie') AS fall
            FROM words WHERE type IN ('fall', 'climb', 'long_lie') GROUP BY incident, class),
        ranked AS (SELECT *, row_number() OVER (PARTITION BY camera, class ORDER BY told DESC, seq DESC) AS back FROM words)
        SELECT camera, class, incident,
        EXISTS (SELECT 1 FROM words WHERE words.incident = ranked.incident AND words.type = 'long_lie'
            AND words.told > coalesce(alerts.fall, -1)),
        EXISTS (SELECT 1 FROM words WHERE words.incident = ranked.incident AND words.type = 'acknowledged'
            AND words.told > coalesce(alerts.last, -1))
        FROM ranked LEFT JOIN alerts USING (incident, class) WHERE back = 1 AND captured_us > ?1
        AND NOT EXISTS (SELECT 1 FROM words WHERE words.incident = ranked.incident AND words.class = ranked.class
            AND words.type IN ('recovered', 'climb_ended'))
        ORDER BY told, seq";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([since_us])?;
    let mut found = Vec::new();
    let known = |row: &rusqlite::Row<'_>| {
        let text = |column| row.get::<_, String>(column).ok();
        Some((text(0)?, Class::parse(&text(1)?)?, Uuid::parse_str(&text(2)?).ok()?))
    };
    while let Some(row) = rows.next()? {
        // Another version's word that cannot be understood is no alarm of ours.
        if let Some((camera, class, incident)) = known(row) {
            found.push(Unfinished { camera, class, incident, long_lie: row.get(3)?, acknowledged: row.get(4)? });
        }
    }
    Ok(found)
}

/// Puts the last alert of each incident back into the outbox, for whoever was away, and gives those that did not wait there
/// already.
pub(crate) fn tell_again<'a>(
    connection: &Connection,
    incidents: impl Iterator<Item = &'a Unfinished>,
    process: &str,
) -> Result<Vec<Row>> {
    let transaction = connection.unchecked_transaction()?;
    let sql = format!(
        "SELECT {COLUMNS}, {PLACE}, {DELIVERED} FROM events WHERE incident = ?1 AND class = ?2
         AND type IN ('fall', 'climb', 'long_lie') ORDER BY coalesce(first_seq, seq) DESC, seq DESC LIMIT 1"
    );
    let mut told = Vec::new();
    for open in incidents {
        let incident = params![open.incident.to_string(), open.class.as_str()];
        let last = transaction.prepare_cached(&sql)?.query_row(incident, |row| Ok(parse(row, process))).optional()?;
        let Some(row) = last.flatten() else { continue };
        let back = "INSERT OR IGNORE INTO outbox (seq, camera) VALUES (?1, ?2)";
        if transaction.execute(back, params![signed(row.seq), row.camera])? > 0 {
            told.push(row);
        }
    }
    transaction.commit()?;
    Ok(told)
}

/// How many events wait.
pub(crate) fn depth(connection: &Connection) -> Result<i64> {
    connection.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))
}

/// Deletes delivered events that were acknowledged before `before_us`, a bounded number at a time.
pub(crate) fn purge(connection: &Connection, before_us: i64) -> Result<usize> {
    connection.execute(
        "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE acknowledged_us < ?1 LIMIT 500)
         AND seq NOT IN (SELECT seq FROM outbox)",
        [before_us],
    )
}

/// Numbers stay far below 2^63: one event a microsecond would take 292,000 years.
fn signed(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn collect(
    mut rows: rusqlite::Rows<'_>,
    limit: usize,
    process: &str,
    mut damaged: impl FnMut(u64),
) -> Result<Vec<Row>> {
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(row) = rows.next()?
    {
        match parse(row, process) {
            Some(row) => found.push(row),
            None => damaged(row.get::<_, i64>(0)?.unsigned_abs()),
        }
    }
    Ok(found)
}

/// A row as an event; none if a damaged file or another version wrote what cannot be understood.
fn parse(row: &rusqlite::Row<'_>, process: &str) -> Option<Row> {
    let text = |column| row.get::<_, String>(column).ok();
    let number = |column| row.get::<_, i64>(column).ok();
    let moment = number(16)?.unsigned_abs();
    Some(Row {
        seq: number(0)?.unsigned_abs(),
        id: Uuid::parse_str(&text(1)?).ok()?,
        incident: Uuid::parse_str(&text(2)?).ok()?,
        context: Context { device: text(3)?, model: ModelRef { name: text(8)?, version: text(9)?, sha256: text(10)? } },
        camera: text(4)?,
        event: EventType::parse(&text(5)?)?,
        class: Class::parse(&text(6)?)?,
        score: row.get::<_, f64>(7).ok()? as f32,
        // Whom it calls matters more than where.
        place: row.get(17).ok().flatten(),
        times: Times { captured: number(11)?, scored: number(12)?, decided: number(13)?, stored: number(14)? },
        anchor: (text(15)? == process).then(|| Moment::from_micros(moment)),
        // Since this process began; whoever hands it out knows better.
        again: number(18).map(|_| Moment::ZERO),
    })
}
