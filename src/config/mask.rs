//! Hides what must not be shown: credentials in the address of a camera, alone or inside a GStreamer pipeline.

/// What stands for a secret.
const MASK: &str = "***";

/// Names whose value is a secret, in a query (`?password=…`) or as a pipeline property (`user-pw=…`).
const SECRETS: [&str; 10] =
    ["password", "passwd", "pass", "pwd", "user-pw", "user-id", "user", "token", "secret", "auth"];

/// The text with every `user:password@` of a URL and every value of a telling name replaced by `***`.
///
/// In doubt it hides too much: everything between `://` and the last `@` of a word goes, since passwords with an
/// unescaped `/` or `@` occur.
pub fn mask(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars() {
        if c.is_whitespace() || matches!(c, '"' | '\'' | '!') {
            out.push_str(&mask_word(&word));
            word.clear();
            out.push(c);
        } else {
            word.push(c);
        }
    }
    out.push_str(&mask_word(&word));
    out
}

fn mask_word(word: &str) -> String {
    let mut word = word.to_owned();
    if let Some(scheme) = word.find("://")
        && let Some(at) = word.rfind('@')
        && at >= scheme + 3
    {
        word.replace_range(scheme + 3..at, MASK);
    }
    let mut out = String::with_capacity(word.len());
    for part in word.split_inclusive(['&', '?', ';']) {
        let (body, end) = match part.strip_suffix(['&', '?', ';']) {
            Some(body) => (body, &part[body.len()..]),
            None => (part, ""),
        };
        match body.split_once('=') {
            Some((name, value)) if !value.is_empty() && SECRETS.iter().any(|secret| is_named(name, secret)) => {
                out.push_str(name);
                out.push('=');
                out.push_str(MASK);
            }
            _ => out.push_str(body),
        }
        out.push_str(end);
    }
    out
}

fn is_named(name: &str, secret: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == secret || name.ends_with(&format!("_{secret}")) || name.ends_with(&format!("-{secret}"))
}

#[cfg(test)]
mod tests {
    use super::mask;
    use proptest::prelude::*;

    #[test]
    fn credentials_are_hidden_and_the_rest_is_kept() {
        for (open, hidden) in [
            ("/dev/video0", "/dev/video0"),
            ("rtsp://10.0.0.5:554/stream1", "rtsp://10.0.0.5:554/stream1"),
            ("rtsp://anna:s3cret@10.0.0.5:554/stream1", "rtsp://***@10.0.0.5:554/stream1"),
            ("rtsp://anna:p@ss/word@10.0.0.5/a", "rtsp://***@10.0.0.5/a"),
            ("http://cam/video?user=anna&password=s3cret&size=4", "http://cam/video?user=***&password=***&size=4"),
            (
                "rtspsrc location=rtsp://anna:s3cret@cam/ user-pw=s3cret latency=0 ! decodebin ! appsink",
                "rtspsrc location=rtsp://***@cam/ user-pw=*** latency=0 ! decodebin ! appsink",
            ),
            ("\"rtsp://anna:s3cret@cam\"", "\"rtsp://***@cam\""),
        ] {
            assert_eq!(mask(open), hidden);
        }
    }

    proptest! {
        #[test]
        fn no_password_is_ever_shown(secret in "[A-Z0-9/@:=?&]{8,20}", before in ".{0,20}", after in "[a-z/ ]{0,20}") {
            let masked = mask(&format!("{before} rtsp://anna:{secret}@cam/{after}"));
            prop_assert!(!masked.contains(&secret), "{masked}");
        }
    }
}
