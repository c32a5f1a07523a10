//! A text that went through [`masked`] shows no camera's password, and still its host, port, path, user and options.

/// What stands for a secret.
const MASK: &str = "***";

/// A name that ends so tells that its value is a secret: `?password=…`, `user-pw=…`, `user=admin_password=…`.
const TELLING: [&str; 9] = ["password", "passwd", "passphrase", "pass", "pwd", "pw", "token", "secret", "auth"];

/// `text` with each password replaced by `***`: `scheme://user:secret@host` and `password=secret` alike.
///
/// It takes an address, a GStreamer pipeline, or a message that repeats one. Where a text can be read in two ways, it
/// hides too much: people write passwords with an unescaped `/`, `@` or space.
pub fn masked(text: &str) -> String {
    without_bare_logins(&without_values(&without_logins(text)))
}

/// Hides from the first colon to the last `@` where the scheme is missing: `user:secret@host`. A text without any address may be one
/// such login, spaces, slashes and all; beside an address it is a word.
fn without_bare_logins(text: &str) -> String {
    let hide = |word: &str| match word.find(':').zip(word.rfind('@')) {
        Some((colon, at)) if colon < at => format!("{}{MASK}{}", &word[..=colon], &word[at..]),
        _ => word.to_owned(),
    };
    if text.contains("://") || text.contains(MASK) {
        let word = |word: &str| if word.contains(":/") { word.to_owned() } else { hide(word) };
        return text.split_inclusive(char::is_whitespace).map(word).collect();
    }
    hide(text)
}

/// Hides from the colon after each user name to the last `@` of the word.
fn without_logins(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    while let Some(at) = text[done..].find(":/").map(|at| done + at) {
        // A slash too few is a slip, and the message about it repeats the address.
        let start = at + if text[at..].starts_with("://") { "://".len() } else { ":/".len() };
        let word = &text[start..];
        let word = &word[..rest_of_word(word, &text[..at], true)];
        // A colon in the path begins no password. Digits between the two may begin one, so they are no port for sure.
        let authority = word.find(['/', '?']).unwrap_or(word.len());
        let login = word[..authority].find(':').zip(word.rfind('@')).filter(|(colon, at)| colon < at);
        let Some((colon, at)) = login else {
            out.push_str(&text[done..start]);
            done = start;
            continue;
        };
        out.push_str(&text[done..=start + colon]);
        out.push_str(MASK);
        // An `@` behind a telling name may lie within that name's value, which then goes on behind it.
        let doubtful = word[..at].match_indices('=').any(|(equals, _)| tells(&word[..equals]));
        done = start + if doubtful { word.len() } else { at };
    }
    out.push_str(&text[done..]);
    out
}

/// Hides the value of each telling name.
fn without_values(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    while let Some(equals) = text[done..].find('=').map(|at| done + at) {
        let name = text[..equals].trim_end();
        let mut start = equals + 1;
        if !tells(name) {
            out.push_str(&text[done..start]);
            done = start;
            continue;
        }
        // GStreamer allows spaces after the `=` of a property; in a URL they end the word, and the value is empty.
        let url = last_word(name).contains(['/', '?', '&']);
        if !url {
            start = text.len() - text[start..].trim_start().len();
        }
        let (from, to) = secret(&text[start..], name, url);
        out.push_str(&text[done..start + from]);
        out.push_str(MASK);
        done = start + to;
    }
    out.push_str(&text[done..]);
    out
}

/// Where the secret lies in `value`, which stands behind `name`.
fn secret(value: &str, name: &str, url: bool) -> (usize, usize) {
    match value.chars().next().filter(|c| is_quote(*c)) {
        Some(quote) if opened(name) != Some(quote) => (1, 1 + rest_of_quoted(&value[1..], quote)),
        _ => {
            let word = &value[..rest_of_word(value, name, url)];
            (0, until(word, |c| url && c == '&'))
        }
    }
}

/// How far the word goes on that `before` ends in. A URL that the text begins with is all of the text: FFmpeg takes a
/// password with a space in it.
fn rest_of_word(text: &str, before: &str, url: bool) -> usize {
    let alone = url && last_word(before).len() == before.trim_start().len();
    match opened(before) {
        Some(quote) => rest_of_quoted(text, quote),
        None => until(text, |c| !alone && c.is_whitespace()),
    }
}

/// How far it is to the closing quote. What clings to that one belongs to a password with a quote in it.
fn rest_of_quoted(text: &str, quote: char) -> usize {
    let close = until(text, |c| c == quote);
    match text.get(close + 1..).map_or(0, |rest| until(rest, char::is_whitespace)) {
        0 => close,
        clinging => close + 1 + clinging,
    }
}

/// The quote in which the last word of `before` stands.
fn opened(before: &str) -> Option<char> {
    last_word(before).chars().rfind(|c| is_quote(*c))
}

/// How far it is to the first character that `ends` the text; one behind a backslash does not.
fn until(text: &str, ends: impl Fn(char) -> bool) -> usize {
    let mut escaped = false;
    let found = text.find(|c| {
        let found = !escaped && ends(c);
        escaped = !escaped && c == '\\';
        found
    });
    found.unwrap_or(text.len())
}

/// Whether what `name =` introduces is a secret.
fn tells(name: &str) -> bool {
    let name = last_word(name.trim_end()).to_ascii_lowercase();
    TELLING.iter().any(|telling| name.ends_with(telling))
}

fn last_word(text: &str) -> &str {
    text.rsplit(char::is_whitespace).next().unwrap_or_default()
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'')
}

#[cfg(test)]
mod tests {
    use super::masked;
    use proptest::prelude::*;

    #[test]
    fn a_password_is_hidden_and_the_rest_is_kept() {
        for (open, shown) in [
            // In the address.
            ("rtsp://anna:s3cret@cam:554/live", "rtsp://anna:***@cam:554/live"),
            ("rtsp://anna:s3@cret@cam/live", "rtsp://anna:***@cam/live"),
            ("rtsp:/anna:s3cret@cam/live", "rtsp:/anna:***@cam/live"),
            ("rtsp://anna:s3/cr/et@cam/live", "rtsp://anna:***@cam/live"),
            ("rtsp://anna:s3@cr/et@cam/live", "rtsp://anna:***@cam/live"),
            ("rtsp://anna:s3 cret@cam/live", "rtsp://anna:***@cam/live"),
            ("rtsp://anna:12/34@cam", "rtsp://anna:***@cam"),
            // Just as well a port and a path: only its owner knows.
            ("rtsp://cam:554/a@b", "rtsp://cam:***@b"),
            ("rtsp://anna@home.org:s3cret@cam/live", "rtsp://anna@home.org:***@cam/live"),
            ("rtsp://anna:s3cret@[::1]:554/live", "rtsp://anna:***@[::1]:554/live"),
            ("preset:rtsp?codec=h264&url=rtsp://anna:s3cret@cam", "preset:rtsp?codec=h264&url=rtsp://anna:***@cam"),
            ("can't open 'rtsp://anna:s3'cret@cam' now", "can't open 'rtsp://anna:***@cam' now"),
            ("rtsp://anna:s3cret@cam/?password=s3@cret", "rtsp://anna:***"),
            // Where the scheme was forgotten, or is not whole.
            ("anna:s3cret@10.0.0.5:554/live", "anna:***@10.0.0.5:554/live"),
            ("rtsp//anna:s3cret@cam/live", "rtsp//anna:***@cam/live"),
            ("rtsp:anna:s3cret@cam/live", "rtsp:***@cam/live"),
            ("anna:s3@cr/et@cam: there is no such file", "anna:***@cam: there is no such file"),
            ("anna:s3 cret@cam/live", "anna:***@cam/live"),
            ("anna:/s3cret@cam/live", "anna:***@cam/live"),
            ("rtsp//anna:s3cret@cam:/live", "rtsp//anna:***@cam:/live"),
            ("rtspsrc user-id=a:b user-pw=s3@cret", "rtspsrc user-id=a:b user-pw=***"),
            // In a query, or what stands for one.
            ("http://cam/snap?user=anna&password=s3cret&x=1", "http://cam/snap?user=anna&password=***&x=1"),
            ("http://cam/snap?password=&x=1", "http://cam/snap?password=***&x=1"),
            ("http://cam/snap?PWD=s3cret", "http://cam/snap?PWD=***"),
            ("http://cam/snap?auth=s3cret=&x=1", "http://cam/snap?auth=***&x=1"),
            ("http://cam/snap?password='s3&x=1", "http://cam/snap?password='***"),
            ("rtsp://cam/user=admin_password=s3cret_channel=1", "rtsp://cam/user=admin_password=***"),
            ("rtsp://cam/user=admin&password=s3@cret&channel=1", "rtsp://cam/user=admin&password=***&channel=1"),
            ("rtsp://cam:554/user=admin&password=s3@cret", "rtsp://cam:***"),
            ("srt://host?passphrase=s3cret", "srt://host?passphrase=***"),
            ("srt://host:9000?passphrase=s3cret&mode=caller", "srt://host:9000?passphrase=***&mode=caller"),
            // As a property.
            ("rtspsrc user-pw=s3cret latency=0", "rtspsrc user-pw=*** latency=0"),
            ("rtspsrc user-pw=s3&cret latency=0", "rtspsrc user-pw=*** latency=0"),
            ("rtspsrc user-pw=s3\\ cret latency=0", "rtspsrc user-pw=*** latency=0"),
            ("rtspsrc user-pw=\"s3cret\" latency=0", "rtspsrc user-pw=\"***\" latency=0"),
            ("rtspsrc user-pw='s3cret' latency=0", "rtspsrc user-pw='***' latency=0"),
            ("rtspsrc user-pw=\"s3 'cr\\\"et\" latency=0", "rtspsrc user-pw=\"***\" latency=0"),
            ("rtspsrc user-pw='s3'cret latency=0", "rtspsrc user-pw='*** latency=0"),
            ("rtspsrc user-pw=\"s3 cret latency=0", "rtspsrc user-pw=\"***"),
            ("rtspsrc user-pw = s3cret latency=0", "rtspsrc user-pw = *** latency=0"),
            ("rtspsrc user-pw = \"s3 cret\" latency=0", "rtspsrc user-pw = \"***\" latency=0"),
            ("user-pw=\"s3cret\"", "user-pw=\"***\""),
            ("souphttpsrc proxy-pw=s3cret user-id=anna", "souphttpsrc proxy-pw=*** user-id=anna"),
            (
                "rtspsrc location=\"rtsp://anna:s3 cret@cam/a\" user-pw=s3cret ! appsink",
                "rtspsrc location=\"rtsp://anna:***@cam/a\" user-pw=*** ! appsink",
            ),
            (
                "souphttpsrc location='http://cam/?password=s3cret' retries=1",
                "souphttpsrc location='http://cam/?password=***' retries=1",
            ),
        ] {
            assert_eq!(masked(open), shown);
        }
    }

    #[test]
    fn what_is_no_password_stays_readable() {
        for open in [
            "/dev/video0",
            "rtsp://10.0.0.5:554/stream1",
            "rtsp://[::1]:554/a",
            "rtsp://admin@cam/live",
            "rtsp://cam/user@home",
            "rtsp://cam/at/12:30@noon",
            "http://cam:8080/snap?user=anna&size=4",
            "srt://host:9000?mode=caller&latency=200",
            "udp://@239.0.0.1:1234",
            "preset:jetson-csi?sensor=0&width=1280&height=720",
            "rtspsrc location=\"rtsp://cam:554/a\" user-id=anna latency=0 ! decodebin ! appsink",
            "v4l2src device=/dev/video0 ! video/x-raw,format=BGR ! appsink drop=true",
            "can't open \"rtsp://cam:554/a\": the password is wrong, says anna@cam",
        ] {
            assert_eq!(masked(open), open);
        }
    }

    proptest! {
        #[test]
        fn a_login_loses_its_password_alone(
            user in "[a-z]{1,8}",
            secret in "[A-Z0-9/@:!?&$'\"\\\\ ]{6,20}",
            host in "[a-z]{1,10}",
            path in "[a-z/]{0,10}",
        ) {
            let shown = masked(&format!("rtsp://{user}:{secret}@{host}/{path}"));
            prop_assert_eq!(shown, format!("rtsp://{user}:***@{host}/{path}"));
        }

        #[test]
        fn no_password_is_ever_shown(
            secret in "[A-Z0-9/@:=?&]{8,20}",
            value in "[A-Z0-9/@:=?]{8,20}",
            before in ".{0,20}",
            after in "[a-z/ ]{0,20}",
        ) {
            for text in [
                format!("{before} rtsp://anna:{secret}@cam/{after}"),
                format!("{before} rtsp://cam/user=admin_password={value}_channel=1/{after}"),
                format!("{before} srt://host?passphrase={value}&{after}"),
                format!("{before} user-pw={secret} {after}"),
                format!("{before} user-pw = {secret} {after}"),
            ] {
                let shown = masked(&text);
                prop_assert!(!shown.contains(&secret) && !shown.contains(&value), "{shown}");
            }
        }

        #[test]
        fn no_quoted_password_is_ever_shown(secret in "[A-Z0-9/@:=?& !]{8,20}", quote in "[\"']", space in " ?") {
            let shown = masked(&format!("rtspsrc user-pw{space}={space}{quote}{secret}{quote} latency=0"));
            prop_assert_eq!(shown, format!("rtspsrc user-pw{space}={space}{quote}***{quote} latency=0"));
        }

        #[test]
        fn any_text_can_be_shown(text in "(.{0,4}(://|=|@|:|pw|\"|'| ){0,3}){0,6}") {
            masked(&text);
        }
    }
}
