//! Where passwords come from: a prompt (twice) or standard input up to the first newline; never an argument,
//! which everybody can read in `ps`.

use std::io::BufRead;
use zeroize::Zeroizing;

/// Longest password, octets.
const PASSWORD_BYTES_MAX: u64 = 1024;

/// Standard input up to the first newline.
pub(super) fn from_stdin() -> Result<Zeroizing<String>, String> {
    read_line(std::io::stdin().lock())
}

fn read_line(input: impl BufRead) -> Result<Zeroizing<String>, String> {
    let mut line = Zeroizing::new(Vec::new());
    let mut input = input.take(PASSWORD_BYTES_MAX + 2);
    input.read_until(b'\n', &mut line).map_err(|error| format!("standard input: {error}"))?;
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    let text = std::str::from_utf8(&line).map_err(|_| "the password is not UTF-8".to_owned())?;
    check(text)?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// A password that is one already: from standard input, or asked once.
pub(crate) fn known(of: &str, on_stdin: bool) -> Result<Zeroizing<String>, String> {
    let password = if on_stdin {
        from_stdin()?
    } else {
        rpassword::prompt_password(format!("Password of {of}: "))
            .map(Zeroizing::new)
            .map_err(|error| format!("no password: {error} (without a terminal give --password-stdin)"))?
    };
    check(&password)?;
    Ok(password)
}

/// Asks twice on the terminal.
pub(super) fn from_prompt(address: &str) -> Result<Zeroizing<String>, String> {
    let ask = |question: String| {
        rpassword::prompt_password(question)
            .map(Zeroizing::new)
            .map_err(|error| format!("no password: {error} (without a terminal give --password-stdin)"))
    };
    let first = ask(format!("Password of {address}: "))?;
    check(&first)?;
    let second = ask("Once more: ".to_owned())?;
    if first == second { Ok(first) } else { Err("the two were not the same; nothing is changed".into()) }
}

/// Something, and nothing that no client can send.
pub(super) fn check(password: &str) -> Result<(), String> {
    if password.is_empty() {
        return Err("the password is empty".into());
    }
    if password.len() as u64 > PASSWORD_BYTES_MAX {
        return Err(format!("the password is longer than {PASSWORD_BYTES_MAX} octets"));
    }
    if password.contains(char::is_control) {
        return Err("the password has control characters".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_first_line_counts() {
        assert_eq!(read_line(&b"correct horse\nsecond\n"[..]).unwrap().as_str(), "correct horse");
        assert_eq!(read_line(&b" spaces stay \r\n"[..]).unwrap().as_str(), " spaces stay ");
        assert_eq!(read_line(&b"no newline"[..]).unwrap().as_str(), "no newline");
        for bad in [&b"\n"[..], b"", b"tab\there\n", b"\xff\n", &[b'x'; 1025]] {
            assert!(read_line(bad).is_err());
        }
    }
}
