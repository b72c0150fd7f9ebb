//! What can go wrong with somebody else's server, told apart by what to do about it.

use std::fmt;

/// Why something did not happen; the text is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// No connection, or it broke: worth another try later.
    Lost(String),
    /// The server does not let us in.
    SignIn(String),
    /// The server said no.
    Refused(String),
    /// It does not speak the protocol as we know it.
    Protocol(String),
    /// Somebody else brought the same meanwhile (an earlier run that was killed, and whose last act came late): look again.
    Moved(String),
    /// On this side: the store, a file, an argument.
    Here(String),
}

impl Trouble {
    /// The connection to `host` is over.
    pub(crate) fn over(connection: &net::Connection, host: &str) -> Trouble {
        Trouble::Lost(match connection.error() {
            Some(error) => format!("{host}: {error}"),
            None => format!("{host} closed the connection"),
        })
    }

    /// May go away by itself.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Trouble::Lost(_))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Trouble::Lost(text)
        | Trouble::SignIn(text)
        | Trouble::Refused(text)
        | Trouble::Protocol(text)
        | Trouble::Moved(text)
        | Trouble::Here(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for Trouble {}

impl From<store::StoreError> for Trouble {
    fn from(error: store::StoreError) -> Trouble {
        Trouble::Here(error.to_string())
    }
}

/// Trouble with a file, with its name.
pub(crate) fn with_file(path: &std::path::Path) -> impl Fn(std::io::Error) -> Trouble + '_ {
    move |error| Trouble::Here(format!("{}: {error}", path.display()))
}
