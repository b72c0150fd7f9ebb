//! A message handed in whole by another face of ours (the web program's Send), by the rules of submission.
//!
//! The same way a message takes that comes by SMTP: sender rules, limits, mending, one commit. Invariant: what is answered as
//! taken is durable. Must not know: who calls.

use super::face::place;
use super::intake::{Arrival, Brought, Intake};
use crate::context::{Shared, unix_now};
use mta::Refusal;
use mta::accept::{Envelope, Recipient};
use mta::receive::{Destinations, Place};
use smol_str::SmolStr;
use std::net::IpAddr;
use store::{Account, QueueId, UnixSecs};

/// Octets that the intake gets at once.
const PIECE_BYTES: usize = 64 * 1024;

/// A recipient of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct To {
    /// `local@domain`
    pub address: String,
    /// NOTIFY bits; 0 is not given.
    pub notify: u8,
    /// ORCPT, decoded.
    pub original: Option<String>,
}

impl To {
    /// With nothing else asked.
    pub fn plain(address: impl Into<String>) -> To {
        To { address: address.into(), ..To::default() }
    }
}

/// See the module.
pub struct Whole<'a> {
    /// Who sends.
    pub account: &'a Account,
    /// MAIL FROM.
    pub reverse_path: String,
    /// RCPT TO.
    pub recipients: Vec<To>,
    /// The message.
    pub octets: &'a [u8],
    /// Nothing leaves the queue before (RFC 4865).
    pub hold_until_secs: Option<UnixSecs>,
    /// RET=HDRS.
    pub ret_headers: bool,
    /// ENVID.
    pub envelope_id: Option<String>,
    /// What else MAIL asked of the delivery.
    pub service: store::QueueService,
    /// Where the request came from.
    pub peer: Option<IpAddr>,
    /// `reverse_path` is an address of the sender's elsewhere, whose own server this destination of the queue leads to:
    /// everything goes there.
    pub by: Option<SmolStr>,
    /// It is somebody's message sent on as it is (RFC 5322 §3.6.6): the fields in front say by whom.
    pub resent: bool,
}

/// What became of it.
#[derive(Debug, Default)]
pub struct HandedIn {
    /// The transaction's name.
    pub id: String,
    /// What waits.
    pub queued: Vec<QueueId>,
    /// Each recipient, in order: the refusal of those that were not taken.
    pub recipients: Vec<Result<(), Refusal>>,
}

/// Takes it, or says why not. Recipients that are refused are left out, unless all are.
pub async fn hand_in(context: &Shared, whole: Whole<'_>) -> Result<HandedIn, Refusal> {
    let now_secs = unix_now();
    if whole.by.is_none() {
        mta::submit::check_sender(&place(context), whole.account, &whole.reverse_path).await?;
    }
    if u64::try_from(whole.octets.len()).unwrap_or(u64::MAX) > context.message_bytes_max {
        return Err(Refusal::too_large(context.message_bytes_max));
    }
    if whole.recipients.len() > usize::try_from(context.limits.recipients_max).unwrap_or(usize::MAX) {
        return Err(Refusal::new(452, (4, 5, 3), "Too many recipients"));
    }
    let mut recipients = Vec::new();
    let mut answers: Vec<Result<(), Refusal>> = Vec::new();
    for To { address, notify, original } in &whole.recipients {
        let place = Place { poster: Some(&whole.account.address), ..place(context) };
        let led = match whole.by {
            Some(_) => Ok(Destinations { remote: vec![address.clone()], ..Destinations::default() }),
            None => place.recipient(address, true, whole.octets.len() as u64).await,
        };
        let found = match led {
            Ok(found) => super::sending::not_suppressed(context, found).await,
            Err(refusal) => Err(refusal),
        };
        match found {
            Ok(destinations) => {
                let original = original.clone();
                recipients.push(Recipient { forward_path: address.clone(), destinations, original, notify: *notify });
                answers.push(Ok(()));
            }
            Err(refusal) => answers.push(Err(refusal)),
        }
    }
    if recipients.is_empty() {
        return Err(answers.into_iter().find_map(Result::err).unwrap_or_else(|| Refusal::new(554, (5, 5, 1), "No recipients")));
    }
    super::sending::take(context, whole.account, &recipients, now_secs).await?;
    let envelope = Envelope {
        reverse_path: whole.reverse_path,
        account: Some(whole.account.id),
        eight_bit: false,
        smtputf8: true,
        ret_headers: whole.ret_headers,
        envelope_id: whole.envelope_id,
        hold_until_secs: whole.hold_until_secs.filter(|secs| *secs > now_secs),
        service: whole.service,
        by: whole.by,
    };
    let arrival =
        Arrival { helo: "web".into(), peer: whole.peer, with: "HTTP".into(), tls: None, now_secs, judged: false, binary: false };
    let mut intake = Intake::begin(context, arrival, envelope, &recipients).await?;
    intake.is_sent_on(whole.resent);
    for piece in whole.octets.chunks(PIECE_BYTES) {
        intake.chunk(context, Some(whole.account), piece).await;
    }
    let id = intake.id().to_owned();
    let peer = whole.peer.map_or_else(|| "web".to_owned(), |ip| ip.to_string());
    let brought = Brought { lmtp: false, peer: &peer, judge: None };
    let (taken, accepted) = intake.end_told(context, Some(whole.account), &recipients, brought).await;
    let mut taken = taken.into_iter();
    for answer in answers.iter_mut().filter(|answer| answer.is_ok()) {
        *answer = taken.next().unwrap_or(Err(Refusal::temporary()));
    }
    if answers.iter().all(Result::is_err) {
        return Err(answers.into_iter().find_map(Result::err).unwrap_or_else(Refusal::temporary));
    }
    Ok(HandedIn { id, queued: accepted.queued, recipients: answers })
}
