//! A refusal: policy said no. A typed value, not an error; the face turns it into its protocol's words.
//!
//! Codes are RFC 5321 §4.2 and RFC 3463 (enhanced). Invariant: the text never tells an inside detail.

use std::fmt;

/// `550 5.1.1 No such mailbox here`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// RFC 5321 §4.2.
    pub code: u16,
    /// RFC 3463.
    pub enhanced: (u8, u16, u16),
    /// One line, for people.
    pub text: String,
}

impl Refusal {
    /// A new one.
    pub fn new(code: u16, enhanced: (u8, u16, u16), text: impl Into<String>) -> Refusal {
        Refusal { code, enhanced, text: text.into() }
    }
    /// 5xx: trying again does not help.
    pub fn is_permanent(&self) -> bool {
        self.code >= 500
    }
    /// Nobody here has that address.
    pub fn unknown_mailbox(address: &str) -> Refusal {
        Refusal::new(550, (5, 1, 1), format!("<{}> is not known here", clean(address)))
    }
    /// Not ours, and the peer has not signed in.
    pub fn relaying(address: &str) -> Refusal {
        Refusal::new(550, (5, 7, 1), format!("<{}> is not served here and relaying needs a sign-in", clean(address)))
    }
    /// The account's quota is used up.
    pub fn over_quota(address: &str) -> Refusal {
        Refusal::new(452, (4, 2, 2), format!("The mailbox of <{}> is full, try again later", clean(address)))
    }
    /// The disk is nearly full.
    pub fn no_space() -> Refusal {
        Refusal::new(452, (4, 3, 1), "Not enough storage for new mail, try again later")
    }
    /// Ours: something failed that may work later.
    pub fn temporary() -> Refusal {
        Refusal::new(451, (4, 3, 0), "Something failed on our side, try again later")
    }
    /// Larger than we take.
    pub fn too_large(message_bytes_max: u64) -> Refusal {
        Refusal::new(552, (5, 3, 4), format!("The message is larger than {message_bytes_max} octets"))
    }
    /// More Received fields than a sane path has.
    pub fn loop_found() -> Refusal {
        Refusal::new(554, (5, 4, 6), "The message has been through too many servers: it is in a loop")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (class, subject, detail) = self.enhanced;
        write!(f, "{} {class}.{subject}.{detail} {}", self.code, self.text)
    }
}

/// An address as it may be shown in a reply: no control characters, not endless.
pub(crate) fn clean(address: &str) -> String {
    address.chars().filter(|c| !c.is_control()).take(256).collect()
}

/// What of a store error is a refusal; everything else is a failure of ours.
pub fn of_store_error(error: &store::StoreError, address: &str) -> Refusal {
    match error {
        store::StoreError::OverQuota => Refusal::over_quota(address),
        store::StoreError::NoSpace => Refusal::no_space(),
        _ => Refusal::temporary(),
    }
}
