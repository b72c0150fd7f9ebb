//! Addresses in HTML and CSS: cleaned as a browser cleans them, and told apart.

/// What an address leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A part of the message: the Content-ID.
    Cid(String),
    /// A picture in the address itself.
    Picture(String),
    /// Another machine.
    Remote(String),
    /// Nothing that may be used.
    Nothing,
}

/// Pictures without a language inside.
const PICTURES: &[&str] = &["png", "gif", "jpeg", "jpg", "pjpeg", "webp", "bmp", "avif", "apng", "x-icon", "vnd.microsoft.icon"];

/// Without what browsers do not see: blanks and controls around, tabs and line ends inside; what could end a string or a
/// tag is percent-encoded.
fn cleaned(url: &str) -> String {
    let mut out = String::with_capacity(url.len());
    for c in url.trim_matches(|c: char| c <= ' ').chars() {
        match c {
            '\t' | '\n' | '\r' => {}
            '<' => out.push_str("%3C"),
            '>' => out.push_str("%3E"),
            '"' => out.push_str("%22"),
            '\\' => out.push_str("%5C"),
            ' ' => out.push_str("%20"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// The scheme in lower case; none in a relative address.
fn scheme(url: &str) -> Option<String> {
    let (scheme, _) = url.split_once(':')?;
    let good = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    good.then(|| scheme.to_ascii_lowercase())
}

/// `//host/`, also with the backslashes that browsers take for slashes.
fn without_scheme(url: &str) -> Option<String> {
    let unified = url.replace("%5C", "/");
    unified.starts_with("//").then(|| format!("https:{unified}"))
}

/// What the address of a picture leads to.
pub(super) fn target(url: &str) -> Target {
    let url = cleaned(url);
    match scheme(&url).as_deref() {
        Some("cid") => Target::Cid(percent_decoded(url.get(4..).unwrap_or_default())),
        Some("http" | "https" | "ftp") => Target::Remote(url),
        Some("data") => {
            let kind = url.get(5..).unwrap_or_default().split([',', ';']).next().unwrap_or_default().to_ascii_lowercase();
            let picture = kind.strip_prefix("image/").is_some_and(|sub| PICTURES.contains(&sub));
            if picture { Target::Picture(url) } else { Target::Nothing }
        }
        _ => without_scheme(&url).map_or(Target::Nothing, Target::Remote),
    }
}

/// The address of a link that may be followed.
pub(super) fn link(url: &str) -> Option<String> {
    let url = cleaned(url);
    match scheme(&url).as_deref() {
        Some("http" | "https" | "mailto" | "tel" | "sms") => Some(url),
        _ => without_scheme(&url),
    }
}

fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digit = |i: usize| bytes.get(i).and_then(|b| char::from(*b).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (byte, digit(at + 1), digit(at + 2)) {
            out.push((high << 4 | low) as u8);
            at += 3;
        } else {
            out.push(*byte);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
