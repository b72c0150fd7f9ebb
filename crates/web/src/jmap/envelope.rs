//! The envelope of an EmailSubmission (RFC 8621 §7): as a client says it, with the parameters of MAIL and RCPT, or made of the
//! message.
//!
//! Parameters are read by SMTP's own grammar, and what is offered is what submission by SMTP offers. Invariant: nothing that a client
//! says becomes another parameter. Must not know: how mail is sent.

use super::Object;
use super::failure::SetError;
use crate::SendTo;
use message::header::{Field, fields};
use mta::limits::{DELIVER_BY_SECS_MIN, HOLD_SECS_MAX};
use serde_json::{Value, json};
use store::UnixSecs;
use wire::smtp::parameter::{self, BadParameter, Offered, Ret, xtext_encode};
use wire::smtp::wishes::{Hold, Keywords};

/// A day, in seconds.
const DAY: i64 = 86_400;

/// maxDelayedSend
pub(crate) fn delay_secs_max() -> i64 {
    i64::try_from(HOLD_SECS_MAX).unwrap_or(i64::MAX)
}

/// Nothing is held past this. It is told in the session, which is to stay as it is for a while: a day.
pub(super) fn hold_until_max(now_secs: UnixSecs) -> UnixSecs {
    now_secs.saturating_add(delay_secs_max()) / DAY * DAY
}

fn offered(hold_until: UnixSecs) -> Offered {
    let keywords = Keywords {
        require_tls: true,
        deliver_by_min_secs: Some(DELIVER_BY_SECS_MIN),
        future_release: Some((HOLD_SECS_MAX, hold_until)),
        mt_priority: true,
        no_soliciting: Some(Vec::new()),
        ..Keywords::default()
    };
    Offered { dsn: true, auth: false, keywords }
}

/// `submissionExtensions` (RFC 8621 §1.3.2): "Each key in the object is the ehlo-name, and the value is a list of ehlo-args."
pub(crate) fn extensions(message_bytes_max: u64, hold_until: UnixSecs) -> Value {
    let mut all = json!({"8BITMIME": [], "DSN": [], "SMTPUTF8": [], "SIZE": [message_bytes_max.to_string()]});
    for line in offered(hold_until).keywords.lines() {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        if let Some(all) = all.as_object_mut() {
            all.insert(name.to_owned(), words.collect());
        }
    }
    all
}

/// The envelope as it is used.
pub(super) struct Envelope {
    pub(super) reverse_path: String,
    pub(super) recipients: Vec<SendTo>,
    pub(super) hold_until_secs: Option<UnixSecs>,
    pub(super) ret_headers: bool,
    pub(super) envelope_id: Option<String>,
    pub(super) service: store::QueueService,
    pub(super) as_said: Value,
}

pub(super) fn text(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str)
}

fn wrong(why: &str) -> SetError {
    SetError::properties(&["envelope"], why)
}

/// "For both name and value, any xtext or unitext encodings are removed": parameters of an Address as they stand in SMTP.
fn as_spoken(address: &Value) -> Result<String, SetError> {
    let object = address.as_object().ok_or_else(|| wrong("an address is an object"))?;
    if object.keys().any(|name| !["email", "parameters"].contains(&name.as_str())) {
        return Err(wrong("an address has an email and parameters"));
    }
    let all = match object.get("parameters") {
        None | Some(Value::Null) => return Ok(String::new()),
        Some(Value::Object(all)) => all,
        Some(_) => return Err(wrong("parameters are an object")),
    };
    let mut spoken = String::new();
    for (name, value) in all {
        let bad = |why: &str| wrong(&format!("the parameter {name} {why}"));
        if name.is_empty() || !name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-') {
            return Err(bad("is not named as one"));
        }
        spoken.push_str(&format!(" {name}"));
        let value = match value {
            Value::Null => continue,
            value => value.as_str().ok_or_else(|| bad("has a string, or null"))?,
        };
        let value = match name.to_ascii_uppercase().as_str() {
            "ENVID" => xtext_encode(value),
            "ORCPT" => match value.split_once(';') {
                Some((kind, original)) => format!("{kind};{}", xtext_encode(original.trim_start())),
                None => return Err(bad("has a type, a semicolon and an address")),
            },
            _ => value.to_owned(),
        };
        // A space would begin another one.
        if value.is_empty() || !value.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'=') {
            return Err(bad("has no such value"));
        }
        spoken.push_str(&format!("={value}"));
    }
    Ok(spoken)
}

fn bad(why: BadParameter) -> SetError {
    wrong(match why {
        BadParameter::Syntax => "a parameter has a value that it cannot have here, or stands there twice",
        BadParameter::Unknown => "there is a parameter that is not known here",
    })
}

fn as_said(said: &Value, message_bytes_max: u64, now_secs: UnixSecs) -> Result<Envelope, SetError> {
    let not_one = || wrong("an envelope has mailFrom and rcptTo");
    if said.as_object().is_none_or(|all| all.keys().any(|name| !["mailFrom", "rcptTo"].contains(&name.as_str()))) {
        return Err(not_one());
    }
    let offered = offered(hold_until_max(now_secs));
    let mail_from = said.get("mailFrom").ok_or_else(not_one)?;
    let mail = parameter::mail(&as_spoken(mail_from)?, &offered).map_err(bad)?;
    if mail.size.is_some_and(|size| size > message_bytes_max) {
        return Err(SetError::new("tooLarge").with("maxSize", json!(message_bytes_max)));
    }
    let list = said.get("rcptTo").and_then(Value::as_array).ok_or_else(not_one)?;
    let one = |recipient: &Value| {
        let parameters = parameter::rcpt(&as_spoken(recipient)?, &offered).map_err(bad)?;
        let address = text(recipient.get("email")).ok_or_else(not_one)?.to_owned();
        Ok::<SendTo, SetError>(SendTo { address, notify: parameters.notify, original: parameters.original })
    };
    Ok(Envelope {
        reverse_path: text(mail_from.get("email")).ok_or_else(not_one)?.to_owned(),
        recipients: list.iter().map(one).collect::<Result<_, _>>()?,
        hold_until_secs: mail.wishes.hold.map(|hold| match hold {
            Hold::ForSecs(secs) => now_secs.saturating_add(i64::try_from(secs).unwrap_or(i64::MAX)),
            Hold::Until(at) => at,
        }),
        ret_headers: mail.ret == Some(Ret::Headers),
        envelope_id: mail.envelope_id,
        service: mta::accept::service_of(&mail.wishes, now_secs),
        as_said: said.clone(),
    })
}

/// RFC 8621 §7: "If multiple addresses are present in one of these headers, or there is more than one Sender/From header, the server
/// SHOULD reject the EmailSubmission as invalid".
fn check_author(octets: &[u8]) -> Result<(), SetError> {
    let of = |name: &str| {
        let all: Vec<_> = fields(octets).filter(|field| field.is(name)).collect();
        let addresses = all.iter().flat_map(Field::addresses).filter(|one| one.address().is_some()).count();
        (all.len(), addresses)
    };
    let (senders, authors) = (of("Sender"), of("From"));
    let why = |name: &str, why: &str| SetError::why("invalidEmail", why).with("properties", json!([name]));
    match (senders, authors) {
        ((2.., _) | (_, 2..), _) => Err(why("sender", "It has more than one Sender.")),
        (_, (2.., _)) => Err(why("from", "It has more than one From.")),
        ((0, _), (_, 2..)) => Err(why("from", "It is from several people, and no Sender says who sends it.")),
        _ => Ok(()),
    }
}

fn is_one_of(field: &Field<'_>, names: &[&str]) -> bool {
    names.iter().any(|name| field.is(name))
}

/// What is sent on as it is begins with who does it, and to whom (RFC 5322 §3.6.6).
pub(super) fn resent_block(octets: &[u8]) -> impl Iterator<Item = Field<'_>> {
    fields(octets).take_while(|field| field.name.get(..7).is_some_and(|name| name.eq_ignore_ascii_case(b"Resent-")))
}

/// The one that is said, else the one that the message makes.
pub(super) fn envelope(
    said: Option<&Value>,
    octets: &[u8],
    identity: &Object,
    (message_bytes_max, now_secs): (u64, UnixSecs),
) -> Result<Envelope, SetError> {
    if let Some(said) = said.filter(|said| !said.is_null()) {
        return as_said(said, message_bytes_max, now_secs);
    }
    let own = text(identity.get("email")).unwrap_or_default();
    // What is only sent on is as its author wrote it.
    if resent_block(octets).next().is_none() {
        check_author(octets)?;
    }
    let mut addresses: Vec<String> = Vec::new();
    let sent_on: Vec<_> =
        resent_block(octets).filter(|field| is_one_of(field, &["Resent-To", "Resent-Cc", "Resent-Bcc"])).collect();
    let of_author = fields(octets).filter(|field| sent_on.is_empty() && is_one_of(field, &["To", "Cc", "Bcc"]));
    for field in of_author.chain(sent_on.iter().copied()) {
        for address in field.addresses().iter().filter_map(message::address_list::HeaderAddress::address) {
            if !addresses.iter().any(|known| known.eq_ignore_ascii_case(&address)) {
                addresses.push(address);
            }
        }
    }
    let told: Vec<Value> = addresses.iter().map(|email| json!({"email": email, "parameters": null})).collect();
    let as_said = json!({"mailFrom": {"email": own, "parameters": null}, "rcptTo": told});
    let recipients = addresses.into_iter().map(|address| SendTo { address, ..SendTo::default() }).collect();
    Ok(Envelope {
        reverse_path: own.to_owned(),
        recipients,
        hold_until_secs: None,
        ret_headers: false,
        envelope_id: None,
        service: store::QueueService::default(),
        as_said,
    })
}
