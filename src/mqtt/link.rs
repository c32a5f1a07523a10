//! The connection to the broker: makes it, keeps it, tells what happens on it.
//!
//! Each connection gets a client of its own, so nothing that an old one had queued or on its way can reach a new one:
//! what was not acknowledged is published again by the driver, from the outbox. The client's own memory of such
//! messages is never relied on (it is cleared when the broker has lost the session).

use crate::config::check::LEAST_KEEP_ALIVE_S;
use crate::config::{MqttConfig, TlsConfig};
use crate::frame::Clock;
use crate::mqtt::delivery::Verdict;
use crate::mqtt::topic::Topics;
use crate::mqtt::{MqttError, Tuning};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnectReturnCode, LastWill, LastWillProperties, Packet, PubAckReason, Publish, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, MqttOptions};
use rumqttc::{NetworkOptions, Outgoing, TlsConfiguration, Transport};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

/// Largest packet that the broker may send us. It is told so, and drops larger ones: otherwise one large command would
/// end every connection anew.
const MAX_PACKET: u32 = 64 * 1024;
/// Requests that the client queues: one event, and telemetry of every camera at once.
const CLIENT_QUEUE: usize = 512;
/// A connection that held so long was a good one: the next backoff starts small again.
const GOOD_AFTER: Duration = Duration::from_secs(10);
/// How long a broker may take to close after our goodbye.
const GOODBYE: Duration = Duration::from_millis(500);

/// What happens on the connection.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// Accepted by the broker, which takes packets of `largest` bytes at most.
    Connected { client: AsyncClient, give_up: Arc<Notify>, session_present: bool, largest: usize },
    /// Refused, or gone.
    Lost { reason: String },
    /// An event left for the socket.
    HandedOver { pkid: u16 },
    /// The broker's word for an event.
    Answered { pkid: u16, verdict: Verdict },
    /// The broker's word on our subscriptions, with its reason if it refuses one.
    Subscribed { refused: Option<String> },
    /// A message for us.
    Message(Box<Publish>),
    /// Our goodbye is out.
    Closed,
}

/// Makes and keeps the connection until told to stop.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) config: MqttConfig,
    pub(crate) device: String,
    pub(crate) topics: Topics,
    pub(crate) clock: Clock,
    pub(crate) tuning: Tuning,
    pub(crate) events: mpsc::Sender<LinkEvent>,
    pub(crate) stop: CancellationToken,
    pub(crate) progress: Arc<AtomicU64>,
}

enum End {
    Stopped,
    Lost(String),
}

impl Link {
    /// Connects again and again, for ever.
    pub(crate) async fn run(self) {
        let mut backoff = self.tuning.backoff_min;
        loop {
            let begun = self.clock.now();
            let End::Lost(reason) = self.session().await else { return };
            if self.clock.now().saturating_sub(begun) >= GOOD_AFTER {
                backoff = self.tuning.backoff_min;
            }
            if self.events.send(LinkEvent::Lost { reason }).await.is_err() {
                return;
            }
            self.moved();
            tokio::select! {
                () = tokio::time::sleep(jitter(backoff)) => {}
                () = self.stop.cancelled() => return,
            }
            backoff = (backoff * 2).min(self.tuning.backoff_max);
        }
    }

    /// One connection, from its first packet to its end.
    async fn session(&self) -> End {
        let (config, device, topics) = (self.config.clone(), self.device.clone(), self.topics.clone());
        // Files are read anew each time: a rotated password or certificate is taken without a restart.
        let options = tokio::task::spawn_blocking(move || options(&config, &device, &topics)).await;
        let options = match options {
            Ok(Ok(options)) => options,
            Ok(Err(error)) => return End::Lost(error.to_string()),
            Err(error) => return End::Lost(error.to_string()),
        };
        // Pings make a poll return at least twice in this time; a longer one hangs in the socket.
        let patience = options.keep_alive() * 3 + Duration::from_secs(options.connection_timeout());
        let give_up = Arc::new(Notify::new());
        let (client, mut eventloop) = AsyncClient::new(options, CLIENT_QUEUE);
        let mut client = Some(client);
        let mut closing = false;
        loop {
            let patience = if closing { GOODBYE } else { patience };
            // A poll must run to its end, or packets are lost; where it is cut off here, the connection goes with it.
            let polled = tokio::select! {
                polled = tokio::time::timeout(patience, eventloop.poll()) => polled,
                () = give_up.notified() => return End::Lost("the broker acknowledges nothing".into()),
                () = self.stop.cancelled() => return End::Stopped,
            };
            self.moved();
            let event = match polled {
                _ if closing && !matches!(polled, Ok(Ok(_))) => {
                    // The driver waits for this and for nothing after it.
                    let _unheard = self.events.send(LinkEvent::Closed).await;
                    return End::Stopped;
                }
                Ok(Ok(event)) => event,
                Ok(Err(error)) => return End::Lost(explain(&error, &self.config, client.is_none())),
                Err(_) => return End::Lost("the socket hangs".into()),
            };
            closing |= event == Event::Outgoing(Outgoing::Disconnect);
            let Some(event) = translate(event, &mut client, &give_up) else { continue };
            if self.events.send(event).await.is_err() {
                return End::Stopped;
            }
        }
    }

    fn moved(&self) {
        let now = u64::try_from(self.clock.now().as_micros()).unwrap_or(u64::MAX);
        self.progress.store(now, Ordering::Relaxed);
    }
}

fn translate(event: Event, client: &mut Option<AsyncClient>, give_up: &Arc<Notify>) -> Option<LinkEvent> {
    match event {
        Event::Incoming(Packet::ConnAck(ack)) => Some(LinkEvent::Connected {
            client: client.take()?,
            give_up: give_up.clone(),
            session_present: ack.session_present,
            largest: ack.properties.and_then(|said| said.max_packet_size).map_or(usize::MAX, |size| size as usize),
        }),
        Event::Incoming(Packet::PubAck(ack)) => {
            let verdict = match ack.reason {
                PubAckReason::Success => Verdict::Taken,
                PubAckReason::NoMatchingSubscribers => Verdict::Unheard,
                reason => Verdict::Refused(format!("{reason:?}")),
            };
            Some(LinkEvent::Answered { pkid: ack.pkid, verdict })
        }
        Event::Incoming(Packet::SubAck(ack)) => {
            let refused = ack.return_codes.iter().find(|code| !matches!(code, SubscribeReasonCode::Success(_)));
            Some(LinkEvent::Subscribed { refused: refused.map(|code| format!("{code:?}")) })
        }
        Event::Incoming(Packet::Publish(publish)) => Some(LinkEvent::Message(Box::new(publish))),
        // QoS 0 has no packet id.
        Event::Outgoing(Outgoing::Publish(pkid)) if pkid != 0 => Some(LinkEvent::HandedOver { pkid }),
        _ => None,
    }
}

/// Half to all of `backoff`: devices that lost one broker together come back one by one.
fn jitter(backoff: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    backoff / 2 + backoff.mul_f64((random % 1024) as f64 / 2048.0)
}

/// The client id: the configured one, or one made of the device's id.
pub(crate) fn client_id(config: &MqttConfig, device: &str) -> String {
    if config.client_id.is_empty() { format!("falld-{device}") } else { config.client_id.clone() }
}

/// Everything that the daemon's client must know, secrets included: so it is neither logged nor kept.
pub(crate) fn options(config: &MqttConfig, device: &str, topics: &Topics) -> Result<MqttOptions, MqttError> {
    let mut options = login(config, client_id(config, device))?;
    options.set_clean_start(false);
    options.set_session_expiry_interval(Some(config.session_expiry_s));
    options.set_max_packet_size(Some(MAX_PACKET));
    // One event and some subscriptions use packet ids; the default would take 8 MB for 65,535 of them.
    options.set_outgoing_inflight_upper_limit(16);
    options.set_last_will(LastWill::new(
        topics.status(),
        "offline",
        QoS::AtLeastOnce,
        true,
        Some(LastWillProperties {
            delay_interval: Some(config.will_delay_s),
            payload_format_indicator: Some(1),
            message_expiry_interval: None,
            content_type: Some("text/plain".into()),
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        }),
    ));
    Ok(options)
}

/// What any client needs to be let in as `id`: a session of its own that ends with the connection, and no will.
pub(crate) fn login(config: &MqttConfig, id: String) -> Result<MqttOptions, MqttError> {
    let plain_v6 = config.tls.is_none() && config.host.contains(':') && !config.host.starts_with('[');
    let host = if plain_v6 { format!("[{}]", config.host) } else { config.host.clone() };
    let mut options = MqttOptions::new(id, host, config.port);
    options.set_keep_alive(Duration::from_secs(config.keep_alive_s.max(LEAST_KEEP_ALIVE_S).into()));
    options.set_clean_start(true);
    options.set_session_expiry_interval(Some(0));
    let mut network = NetworkOptions::new();
    // Without it, Nagle's algorithm holds back small packets for 40 ms.
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    if !config.username.is_empty() {
        options.set_credentials(config.username.clone(), password(config)?);
    }
    if let Some(tls) = &config.tls {
        options.set_transport(Transport::tls_with_config(certificates(tls)?));
    }
    Ok(options)
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, MqttError> {
    std::fs::read(path).map_err(|error| MqttError::File { key, path: path.into(), error: error.to_string() })
}

fn password(config: &MqttConfig) -> Result<String, MqttError> {
    if config.password_file.as_os_str().is_empty() {
        return Ok(String::new());
    }
    let key = "mqtt.password_file";
    let text = String::from_utf8(read(key, &config.password_file)?).map_err(|_| MqttError::File {
        key,
        path: config.password_file.clone(),
        error: "not UTF-8".into(),
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn certificates(tls: &TlsConfig) -> Result<TlsConfiguration, MqttError> {
    let pem = |key, path: &Path, kind: &str| {
        let bytes = read(key, path)?;
        let text = String::from_utf8_lossy(&bytes);
        // `PRIVATE KEY` also matches `EC PRIVATE KEY` and `RSA PRIVATE KEY`.
        if text.contains("-----BEGIN ") && text.contains(&format!("{kind}-----")) {
            return Ok(bytes);
        }
        Err(MqttError::File { key, path: path.into(), error: format!("holds no PEM {kind}") })
    };
    let ca = pem("mqtt.tls.ca", &tls.ca, "CERTIFICATE")?;
    let client_auth = match (tls.cert.as_os_str().is_empty(), tls.key.as_os_str().is_empty()) {
        (true, true) => None,
        (false, false) => {
            Some((pem("mqtt.tls.cert", &tls.cert, "CERTIFICATE")?, pem("mqtt.tls.key", &tls.key, "PRIVATE KEY")?))
        }
        _ => return Err(MqttError::HalfAnIdentity),
    };
    // Fails if one is installed already, which is as good.
    let _installed = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    Ok(TlsConfiguration::Simple { ca, alpn: None, client_auth })
}

/// The error in words, where it happened, and the mend where there is one. `connected`: whether the broker had accepted us before.
pub(crate) fn explain(error: &ConnectionError, config: &MqttConfig, connected: bool) -> String {
    use ConnectReturnCode::{BadUserNamePassword, Banned, ClientIdentifierNotValid, NotAuthorized};
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    let lower = text.to_lowercase();
    let out_of_time = ["expired", "not valid yet", "notvalidyet"].iter().any(|word| lower.contains(word));
    let mend = match error {
        // After a power cut a device without a clock of its own lives in the past until the network tells it.
        _ if out_of_time && lower.contains("certificate") => {
            "is the clock right? see `timedatectl`; if it is, renew the certificate"
        }
        ConnectionError::ConnectionRefused(BadUserNamePassword | NotAuthorized | Banned) => {
            "the broker refuses the login: check mqtt.username, mqtt.password_file and the broker's ACL"
        }
        ConnectionError::ConnectionRefused(ClientIdentifierNotValid) => "check mqtt.client_id",
        ConnectionError::ConnectionRefused(_) => "the broker's own log says why",
        ConnectionError::Tls(_) if text.contains("UnknownIssuer") => {
            "the broker's certificate is not signed by mqtt.tls.ca"
        }
        ConnectionError::Tls(_) if text.contains("NotValidForName") => "mqtt.host is not a name in its certificate",
        ConnectionError::Tls(_) => "check mqtt.port and the certificates under mqtt.tls",
        ConnectionError::Timeout(_) => "no answer in time: check mqtt.host and mqtt.port",
        ConnectionError::Io(_) => "is the broker running, and are mqtt.host and mqtt.port right?",
        _ if text.contains("SessionTakenOver") => {
            "another falld has the same device.id or mqtt.client_id; give each its own"
        }
        // A broker may end the session of whose id another takes without a word.
        _ if connected => "if this comes again and again: has another falld the same device.id or mqtt.client_id?",
        _ if config.tls.is_none() => "if that port wants TLS, add [mqtt.tls] with its ca",
        _ => "is that a port of MQTT over TLS? check mqtt.port",
    };
    format!("{}:{}: {text} ({mend})", config.host, config.port)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::mqtt::probe;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    /// A listener for TLS hangs up on whoever speaks plainly.
    #[tokio::test]
    async fn a_port_that_hangs_up_on_plain_words_is_named_with_the_mend() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = MqttConfig {
            host: "127.0.0.1".into(),
            port: listener.local_addr().unwrap().port(),
            ..MqttConfig::default()
        };
        let hangs_up = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _hello = socket.read(&mut [0; 256]).await.unwrap();
        };
        let (told, ()) = tokio::join!(probe(&config, "house"), hangs_up);
        let text = told.unwrap_err().to_string();
        assert!(text.contains(&format!("127.0.0.1:{}: ", config.port)) && text.contains("[mqtt.tls]"), "{text}");
    }

    #[test]
    fn a_certificate_of_another_time_points_to_the_clock() {
        use tokio_rustls::rustls::pki_types::UnixTime;
        use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};
        let (earlier, later) = (UnixTime::since_unix_epoch(Duration::ZERO), UnixTime::now());
        for error in [
            Error::InvalidCertificate(CertificateError::NotValidYet),
            Error::InvalidCertificate(CertificateError::NotValidYetContext { time: earlier, not_before: later }),
            Error::InvalidCertificate(CertificateError::Expired),
            Error::InvalidCertificate(CertificateError::ExpiredContext { time: later, not_after: earlier }),
            Error::AlertReceived(AlertDescription::CertificateExpired),
        ] {
            let error = ConnectionError::Tls(rumqttc::TlsError::Io(std::io::Error::other(error)));
            let text = explain(&error, &MqttConfig::default(), false);
            assert!(text.contains("timedatectl") && !text.contains("mqtt.port"), "{text}");
        }
        let stranger = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let error = ConnectionError::Tls(rumqttc::TlsError::Io(std::io::Error::other(stranger)));
        assert!(explain(&error, &MqttConfig::default(), false).contains("mqtt.tls.ca"));
    }

    #[test]
    fn a_session_that_ends_without_a_word_may_have_been_taken_over() {
        let closed = ConnectionError::MqttState(rumqttc::v5::StateError::ConnectionAborted);
        let config = MqttConfig::default();
        assert!(explain(&closed, &config, true).contains("device.id"));
        assert!(!explain(&closed, &config, false).contains("device.id"), "nobody had accepted us");
    }
}
