//! How a command can end otherwise than with OK, and the one place where the store's trouble becomes words.
//!
//! RFC 5530 codes. Invariant: internal details (paths, offsets, errno) go to the log, never to the client.

use std::borrow::Cow;
use store::StoreError;
use wire::imap::Code;
use wire::imap::response::Kind;

/// A command's tagged OK.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<Code>,
    pub(crate) text: &'static str,
}

/// Anything but OK.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// A refusal: tagged NO.
    No(Option<Code>, Cow<'static, str>),
    /// The client's words made no sense here: tagged BAD.
    Bad(&'static str),
    /// Only UIDs are spoken (RFC 9586 §3): tagged BAD.
    UidRequired,
    /// The store's refusal or failure.
    Store(StoreError),
    /// The session is over: the peer is gone, or BYE was said.
    Over,
}

/// How a command ends.
pub(crate) type Outcome = Result<Done, Trouble>;

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Trouble {
        Trouble::Store(error)
    }
}

/// Tagged OK without a code.
pub(crate) fn done(text: &'static str) -> Outcome {
    Ok(Done { code: None, text })
}

/// Tagged OK with a code.
pub(crate) fn done_with(code: Code, text: &'static str) -> Outcome {
    Ok(Done { code: Some(code), text })
}

/// Tagged NO with a code.
pub(crate) fn no(code: Code, text: &'static str) -> Trouble {
    Trouble::No(Some(code), Cow::Borrowed(text))
}

/// What the client is told about the store's trouble.
pub(crate) fn from_store(error: &StoreError) -> (Kind, Option<Code>, &'static str) {
    let (code, text) = match error {
        StoreError::NotFound => (Code::NonExistent, "There is no such mailbox or message"),
        StoreError::Exists => (Code::AlreadyExists, "That mailbox exists already"),
        StoreError::OverQuota => (Code::OverQuota, "The quota is used up"),
        StoreError::NoSpace => (Code::OverQuota, "The server's disk is full; nothing was stored, try again later"),
        StoreError::Invalid(why) => (Code::Cannot, *why),
        StoreError::LeaseLost => (Code::InUse, "Somebody else is at it; try again"),
        StoreError::Locked(_) => (Code::Unavailable, "The store is locked; try again later"),
        StoreError::Damaged(detail) => {
            tracing::error!(%detail, "stored data are damaged");
            (Code::Corruption, "Stored data are damaged; the administrator has been told")
        }
        StoreError::Io(detail) => {
            tracing::error!(%detail, "the store failed");
            (Code::Unavailable, "A temporary failure; try again later")
        }
    };
    (Kind::No, Some(code), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_internal_detail_reaches_the_client() {
        for error in [StoreError::Io("/secret/path: EIO".into()), StoreError::Damaged("segment 7".into())] {
            let (kind, code, text) = from_store(&error);
            assert_eq!(kind, Kind::No);
            assert!(code.is_some() && !text.contains("secret") && !text.contains("segment"));
        }
    }
}
