//! The texts for people behind `+OK` and `-ERR`, in the languages LANG offers (RFC 6856 §3).
//!
//! Invariant: every text is there in every language; `i-default` is plain ASCII.

use std::borrow::Cow;

/// A language of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// `i-default`: English for everybody (BCP 18 §4.5).
    #[default]
    Default,
    /// German.
    German,
}

impl Language {
    /// What LANG lists: tag and name, the name in its own language.
    pub const LISTED: [(&'static str, &'static str, Language); 3] = [
        ("i-default", "English (default)", Language::Default),
        ("en", "English", Language::Default),
        ("de", "Deutsch", Language::German),
    ];

    /// The best for a tag: itself, or shortened from the right (BCP 47, "lookup"); `*` is the default.
    pub fn lookup(tag: &str) -> Option<(&'static str, Language)> {
        let mut range = if tag == "*" { "i-default" } else { tag };
        loop {
            if let Some((tag, _, language)) = Self::LISTED.iter().find(|(known, _, _)| known.eq_ignore_ascii_case(range)) {
                return Some((tag, *language));
            }
            range = range.rsplit_once('-')?.0;
        }
    }
}

/// What there is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) enum Text {
    Capabilities,
    Mechanisms,
    NameTaken,
    MaildropOpen { messages: u32, octets: u64 },
    BeginTls,
    Utf8On,
    LanguageChanged,
    Languages,
    Messages { messages: u32, octets: u64 },
    UniqueIds,
    Octets(u64),
    TopFollows,
    Deleted(u32),
    Restored { messages: u32, octets: u64 },
    Fine,
    Bye,
    Unknown,
    Parameters,
    LineTooLong,
    NotNow,
    NotOffered,
    TlsFirst,
    TlsAlready,
    TlsAfterUtf8,
    BufferedBehindTls,
    UserFirst,
    NoSuchMechanism,
    BadExchange,
    Cancelled,
    WrongCredentials,
    Suspended,
    ProgramPassword,
    InUse,
    TooSoon,
    Temporary,
    NoSuchMessage,
    DeletedAlready,
    Gone,
    NotUpdated,
    NoSuchLanguage,
    TooManyErrors,
}

impl Text {
    pub(crate) fn say(self, language: Language) -> Cow<'static, str> {
        match language {
            Language::Default => self.english(),
            Language::German => self.german(),
        }
    }

    fn english(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Text::Capabilities => "what can be had here",
            Text::Mechanisms => "mechanisms",
            Text::NameTaken => "now the password",
            Text::MaildropOpen { messages, octets } => {
                return format!("maildrop open: {messages} messages, {octets} octets").into();
            }
            Text::BeginTls => "begin TLS",
            Text::Utf8On => "UTF-8 from here on",
            Text::LanguageChanged => "language changed",
            Text::Languages => "languages",
            Text::Messages { messages, octets } => return format!("{messages} messages ({octets} octets)").into(),
            Text::UniqueIds => "unique-ids follow",
            Text::Octets(octets) => return format!("{octets} octets").into(),
            Text::TopFollows => "top of the message follows",
            Text::Deleted(number) => return format!("message {number} deleted").into(),
            Text::Restored { messages, octets } => return format!("maildrop has {messages} messages ({octets} octets)").into(),
            Text::Fine => "fine",
            Text::Bye => "bye",
            Text::Unknown => "no such command",
            Text::Parameters => "wrong parameters for this command",
            Text::LineTooLong => "line too long",
            Text::NotNow => "this command has no place here",
            Text::NotOffered => "not offered",
            Text::TlsFirst => "signing in needs TLS: say STLS first, or use the TLS port",
            Text::TlsAlready => "TLS is on already",
            Text::TlsAfterUtf8 => "STLS comes before UTF8 (RFC 6856)",
            Text::BufferedBehindTls => "nothing may follow STLS before the TLS handshake",
            Text::UserFirst => "USER comes first",
            Text::NoSuchMechanism => "no such mechanism",
            Text::BadExchange => "this is not how the mechanism goes",
            Text::Cancelled => "cancelled",
            Text::WrongCredentials => "wrong login name or password",
            Text::Suspended => "this account is suspended",
            Text::ProgramPassword => "use an app password: this account has a second factor",
            Text::InUse => "another session has this maildrop open",
            Text::TooSoon => "too soon after the last session",
            Text::Temporary => "cannot do that right now, try again later",
            Text::NoSuchMessage => "no such message",
            Text::DeletedAlready => "this message is marked as deleted",
            Text::Gone => "this message was removed by another program",
            Text::NotUpdated => "the marked messages could not be removed; nothing was deleted",
            Text::NoSuchLanguage => "no such language",
            Text::TooManyErrors => "too many errors",
        })
    }

    fn german(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Text::Capabilities => "was es hier gibt",
            Text::Mechanisms => "Verfahren",
            Text::NameTaken => "jetzt das Passwort",
            Text::MaildropOpen { messages, octets } => {
                return format!("Postfach offen: {messages} Nachrichten, {octets} Oktette").into();
            }
            Text::BeginTls => "TLS beginnen",
            Text::Utf8On => "ab hier UTF-8",
            Text::LanguageChanged => "Sprache gewechselt",
            Text::Languages => "Sprachen",
            Text::Messages { messages, octets } => return format!("{messages} Nachrichten ({octets} Oktette)").into(),
            Text::UniqueIds => "Kennungen folgen",
            Text::Octets(octets) => return format!("{octets} Oktette").into(),
            Text::TopFollows => "Anfang der Nachricht folgt",
            Text::Deleted(number) => return format!("Nachricht {number} gelöscht").into(),
            Text::Restored { messages, octets } => {
                return format!("Postfach hat {messages} Nachrichten ({octets} Oktette)").into();
            }
            Text::Fine => "gut",
            Text::Bye => "auf Wiedersehen",
            Text::Unknown => "diesen Befehl gibt es nicht",
            Text::Parameters => "falsche Angaben zu diesem Befehl",
            Text::LineTooLong => "Zeile zu lang",
            Text::NotNow => "dieser Befehl gehört nicht hierher",
            Text::NotOffered => "wird nicht angeboten",
            Text::TlsFirst => "Anmelden geht nur mit TLS: zuerst STLS, oder der TLS-Port",
            Text::TlsAlready => "TLS läuft schon",
            Text::TlsAfterUtf8 => "STLS kommt vor UTF8 (RFC 6856)",
            Text::BufferedBehindTls => "auf STLS darf vor dem TLS-Handschlag nichts folgen",
            Text::UserFirst => "zuerst USER",
            Text::NoSuchMechanism => "dieses Verfahren gibt es nicht",
            Text::BadExchange => "so geht dieses Verfahren nicht",
            Text::Cancelled => "abgebrochen",
            Text::WrongCredentials => "falscher Name oder falsches Passwort",
            Text::Suspended => "dieses Konto ist gesperrt",
            Text::ProgramPassword => "ein App-Passwort wird gebraucht: dieses Konto hat einen zweiten Faktor",
            Text::InUse => "eine andere Sitzung hat dieses Postfach offen",
            Text::TooSoon => "zu bald nach der letzten Sitzung",
            Text::Temporary => "das geht gerade nicht, bitte später noch einmal",
            Text::NoSuchMessage => "diese Nachricht gibt es nicht",
            Text::DeletedAlready => "diese Nachricht ist zum Löschen vorgemerkt",
            Text::Gone => "diese Nachricht hat ein anderes Programm entfernt",
            Text::NotUpdated => "die vorgemerkten Nachrichten ließen sich nicht entfernen; nichts wurde gelöscht",
            Text::NoSuchLanguage => "diese Sprache gibt es nicht",
            Text::TooManyErrors => "zu viele Fehler",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_shortened_from_the_right() {
        assert_eq!(Language::lookup("DE-at-1996"), Some(("de", Language::German)));
        assert_eq!(Language::lookup("en-GB"), Some(("en", Language::Default)));
        assert_eq!(Language::lookup("*"), Some(("i-default", Language::Default)));
        assert_eq!(Language::lookup("i-default"), Some(("i-default", Language::Default)));
        assert_eq!(Language::lookup("uga"), None);
        assert_eq!(Language::lookup(""), None);
    }
}
