//! Names of mailboxes between servers: separators, the prefix of a namespace, special uses by attribute or by usual name.

use store::SpecialUse;
use wire::imap::list::{ListResponse, MailboxAttribute};

/// The other server's name as ours: levels parted by `/`, its personal prefix (`INBOX.` at Courier) left out.
pub fn to_local(remote: &str, delimiter: Option<char>, prefix: &str) -> String {
    if remote.eq_ignore_ascii_case("INBOX") {
        return "INBOX".to_owned();
    }
    let inner = remote.strip_prefix(prefix).filter(|rest| !rest.is_empty()).unwrap_or(remote);
    let levels: Vec<String> = match delimiter {
        Some(delimiter) => inner.split(delimiter).map(clean).collect(),
        None => vec![clean(inner)],
    };
    let levels: Vec<&str> = levels.iter().map(String::as_str).filter(|level| !level.is_empty()).collect();
    let name = levels.join("/");
    if name.eq_ignore_ascii_case("INBOX") { format!("{name} (2)") } else { name }
}

/// What our names cannot have becomes `_`.
fn clean(level: &str) -> String {
    level.chars().map(|c| if c == '/' || c.is_control() || c == '*' || c == '%' { '_' } else { c }).collect()
}

/// Our name at a server with this separator and prefix.
pub fn to_remote(local: &str, delimiter: Option<char>, prefix: &str) -> String {
    if local == "INBOX" {
        return local.to_owned();
    }
    let levels = local.split('/');
    match delimiter {
        Some(delimiter) => {
            let levels: Vec<String> = levels.map(|level| level.replace(delimiter, "_")).collect();
            format!("{prefix}{}", levels.join(&delimiter.to_string()))
        }
        None => format!("{prefix}{}", levels.collect::<Vec<_>>().join("_")),
    }
}

/// What the server says a mailbox is for (RFC 6154).
pub fn special_use(attributes: &[MailboxAttribute]) -> Option<SpecialUse> {
    attributes.iter().find_map(|attribute| {
        Some(match attribute {
            MailboxAttribute::All => SpecialUse::All,
            MailboxAttribute::Archive => SpecialUse::Archive,
            MailboxAttribute::Drafts => SpecialUse::Drafts,
            MailboxAttribute::Flagged => SpecialUse::Flagged,
            MailboxAttribute::Junk => SpecialUse::Junk,
            MailboxAttribute::Sent => SpecialUse::Sent,
            MailboxAttribute::Trash => SpecialUse::Trash,
            MailboxAttribute::Important => SpecialUse::Important,
            // XLIST of old, and a spelling that was seen (lessons C4).
            MailboxAttribute::Other(word) if word.eq_ignore_ascii_case("Spam") => SpecialUse::Junk,
            MailboxAttribute::Other(word) if word.eq_ignore_ascii_case("Draft") => SpecialUse::Drafts,
            MailboxAttribute::Other(word) if word.eq_ignore_ascii_case("AllMail") => SpecialUse::All,
            _ => return None,
        })
    })
}

const USUAL: [(SpecialUse, &[&str]); 5] = [
    (SpecialUse::Sent, &["sent", "sent items", "sent messages", "sent mail", "gesendet", "gesendete objekte", "envoy\u{e9}s"]),
    (SpecialUse::Drafts, &["drafts", "draft", "entw\u{fc}rfe", "brouillons"]),
    (
        SpecialUse::Trash,
        &["trash", "deleted items", "deleted messages", "bin", "papierkorb", "gel\u{f6}schte objekte", "corbeille"],
    ),
    (SpecialUse::Junk, &["junk", "spam", "junk e-mail", "junk email", "bulk mail", "junk mail"]),
    (SpecialUse::Archive, &["archive", "archives", "archiv"]),
];

/// What a mailbox of that (local) name usually is for, where the server does not say.
pub fn usual_use(local: &str) -> Option<SpecialUse> {
    let name = local.to_lowercase();
    USUAL.iter().find(|(_, names)| names.contains(&name.as_str())).map(|(special_use, _)| *special_use)
}

/// Cannot be selected.
pub fn is_no_mailbox(line: &ListResponse) -> bool {
    line.attributes.iter().any(|a| matches!(a, MailboxAttribute::NoSelect | MailboxAttribute::NonExistent))
}

/// The word for a use, as it travels through the control socket and into JSON.
pub fn use_word(special_use: SpecialUse) -> &'static str {
    match special_use {
        SpecialUse::All => "all",
        SpecialUse::Archive => "archive",
        SpecialUse::Drafts => "drafts",
        SpecialUse::Flagged => "flagged",
        SpecialUse::Junk => "junk",
        SpecialUse::Sent => "sent",
        SpecialUse::Trash => "trash",
        SpecialUse::Important => "important",
    }
}

/// And back.
pub fn use_of_word(word: &str) -> Option<SpecialUse> {
    const ALL: [SpecialUse; 8] = [
        SpecialUse::All,
        SpecialUse::Archive,
        SpecialUse::Drafts,
        SpecialUse::Flagged,
        SpecialUse::Junk,
        SpecialUse::Sent,
        SpecialUse::Trash,
        SpecialUse::Important,
    ];
    ALL.into_iter().find(|special_use| use_word(*special_use) == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_and_prefixes() {
        assert_eq!(to_local("INBOX.Sent.2024", Some('.'), "INBOX."), "Sent/2024");
        assert_eq!(to_local("inbox", Some('.'), "INBOX."), "INBOX");
        assert_eq!(to_local("a/b.c", Some('.'), ""), "a_b/c");
        assert_eq!(to_local("[Gmail]/All Mail", Some('/'), ""), "[Gmail]/All Mail");
        assert_eq!(to_local("plain/name", None, ""), "plain_name");
        assert_eq!(to_local("a..b", Some('.'), ""), "a/b");
        assert_eq!(to_remote("Sent/2024", Some('.'), "INBOX."), "INBOX.Sent.2024");
        assert_eq!(to_remote("INBOX", Some('.'), "INBOX."), "INBOX");
        assert_eq!(usual_use("Deleted Items"), Some(SpecialUse::Trash));
    }
}
