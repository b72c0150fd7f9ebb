//! What an account's owner wants done with mail that comes for them: rules, blocked senders, forwarding.
//!
//! Kept as the JSON that its owner reads and writes (`docs/jmap.md`, `MailRules`). Invariant: what cannot be done (a mailbox
//! that is gone, an address that cannot be written to) leaves the message in the INBOX; nothing is ever lost by a rule.
//! Must not know: clocks, sockets, who writes the JSON.

mod fulfil;
mod rule;
mod shelf;
pub mod vacation;

pub use fulfil::{Coming, Decision, Fulfilled, fulfil};
pub use rule::Wrong;
pub use shelf::Shelf;

use rule::Rule;
use serde_json::{Map, Value};

/// The store's collection of records: a vacation (RFC 8621 §8), named [`SINGLETON`].
pub const VACATION: u8 = 4;
/// ... rules, blocked senders and forwarding, named [`SINGLETON`].
pub const RULES: u8 = 5;
/// ... whom the vacation answered: by address, when.
pub const ANSWERED: u8 = 6;
/// The name of the only record of its kind.
pub const SINGLETON: &str = "singleton";

/// Rules of an account.
pub const RULES_MAX: usize = 200;
/// Conditions of a rule.
pub const CONDITIONS_MAX: usize = 20;
/// Addresses that an account's mail goes on to, rules and all, for one message.
pub const FORWARDS_MAX: usize = 20;
/// Blocked senders of an account.
pub const BLOCKED_MAX: usize = 1_000;
/// Octets of a text in a rule.
pub const TEXT_BYTES_MAX: usize = 500;

/// See the module.
#[derive(Debug, Default)]
pub struct Wishes {
    rules: Vec<Rule>,
    /// Addresses, and `@domain` for all of a domain; normalised.
    blocked: Vec<String>,
    forward: Option<Forward>,
    vacation: Option<vacation::Vacation>,
}

/// Everything goes on.
#[derive(Debug)]
struct Forward {
    to: Vec<String>,
    keeps: bool,
}

impl Wishes {
    /// From what is kept; a part that cannot be read is not there.
    pub(crate) fn read(rules: Option<&[u8]>, vacation: Option<&[u8]>) -> Wishes {
        let object = |stored: &[u8]| serde_json::from_slice::<Map<String, Value>>(stored).ok();
        let mut wishes = rules.and_then(object).and_then(|object| Wishes::of(&object).ok()).unwrap_or_default();
        wishes.vacation = vacation.and_then(object).and_then(|object| vacation::Vacation::of(&object));
        wishes
    }

    /// Of a `MailRules` object.
    ///
    /// # Errors
    /// Which property is wrong, and why.
    pub fn of(object: &Map<String, Value>) -> Result<Wishes, Wrong> {
        let mut wishes = Wishes::default();
        for (name, value) in object {
            match name.as_str() {
                "id" => {}
                "rules" => wishes.rules = rule::rules(value)?,
                "blocked" => wishes.blocked = rule::addresses(value, "blocked", BLOCKED_MAX)?,
                "forwarding" => wishes.forward = forward(value)?,
                other => return Err(Wrong::new(other, "there is no such property")),
            }
        }
        Ok(wishes)
    }

    /// Nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.blocked.is_empty() && self.forward.is_none() && self.vacation.is_none()
    }

    /// What is answered while its owner is away.
    pub fn vacation(&self) -> Option<&vacation::Vacation> {
        self.vacation.as_ref()
    }

    fn blocks(&self, address: &str) -> bool {
        let address = store::normalise(address);
        let domain = address.rfind('@').and_then(|at| address.get(at..)).unwrap_or_default();
        self.blocked.iter().any(|blocked| *blocked == address || (blocked.starts_with('@') && blocked == domain))
    }
}

fn forward(value: &Value) -> Result<Option<Forward>, Wrong> {
    if value.is_null() {
        return Ok(None);
    }
    let wrong = |why| Wrong::new("forwarding", why);
    let object = value.as_object().ok_or_else(|| wrong("it is {\"isEnabled\", \"addresses\", \"keepCopy\"}"))?;
    let truth = |name: &str, absent: bool| match object.get(name) {
        None => Ok(absent),
        Some(value) => value.as_bool().ok_or_else(|| wrong("isEnabled and keepCopy are true or false")),
    };
    let to = rule::addresses(object.get("addresses").unwrap_or(&Value::Null), "forwarding", FORWARDS_MAX)?;
    if to.iter().any(|address| address.starts_with('@')) {
        return Err(wrong("mail is forwarded to whole addresses"));
    }
    let (enabled, keeps) = (truth("isEnabled", true)?, truth("keepCopy", true)?);
    if enabled && to.is_empty() {
        return Err(wrong("there is no address to forward to"));
    }
    Ok(enabled.then_some(Forward { to, keeps }))
}
