//! NOTIFY (RFC 5465): which events of which mailboxes a client wants to hear of without asking.
//!
//! ```abnf
//! notify       = "NOTIFY" SP ("SET" [SP "STATUS"] SP event-groups / "NONE")
//! event-groups = event-group *(SP event-group)
//! event-group  = "(" filter-mailboxes SP events ")"
//! filter-mailboxes = "selected" / "selected-delayed" / "inboxes" / "personal" / "subscribed" /
//!                    ("subtree" / "mailboxes") SP one-or-more-mailbox
//! events       = "(" event *(SP event) ")" / "NONE"
//! event        = "MessageNew" [SP "(" fetch-att *(SP fetch-att) ")"] / "MessageExpunge" / "FlagChange" / "AnnotationChange" /
//!                "MailboxName" / "SubscriptionChange" / "MailboxMetadataChange" / "ServerMetadataChange"
//! ```

use super::cursor::{Cursor, Parsed};
use super::encoder::Encoder;
use super::fetch::FetchItem;
use super::limits::LIST_ITEMS_MAX;
use super::mailbox_name::MailboxName;
use smol_str::SmolStr;

/// NOTIFY.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Notify {
    None,
    Set {
        /// A STATUS of each watched mailbox first.
        status: bool,
        groups: Vec<EventGroup>,
    },
}

/// Events of a set of mailboxes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct EventGroup {
    pub filter: MailboxFilter,
    /// Empty: NONE.
    pub events: Vec<NotifyEvent>,
}

/// `filter-mailboxes` (RFC 5465 §6); also the sources of MULTISEARCH (RFC 7377 §2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum MailboxFilter {
    Selected,
    /// Expunges only when the client could handle them (RFC 5465 §6.2).
    SelectedDelayed,
    Inboxes,
    Personal,
    Subscribed,
    /// These and all under them.
    Subtree(Vec<MailboxName>),
    /// MULTISEARCH: these and those right under them.
    SubtreeOne(Vec<MailboxName>),
    Mailboxes(Vec<MailboxName>),
}

/// `event`
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum NotifyEvent {
    /// With what is to be fetched of each (of the selected mailbox only).
    MessageNew(Vec<FetchItem>),
    MessageExpunge,
    FlagChange,
    AnnotationChange,
    MailboxName,
    SubscriptionChange,
    MailboxMetadataChange,
    ServerMetadataChange,
    /// Not known: answered NO [BADEVENT].
    Other(SmolStr),
}

impl NotifyEvent {
    const NAMES: [(&'static str, NotifyEvent); 8] = [
        ("MessageNew", NotifyEvent::MessageNew(Vec::new())),
        ("MessageExpunge", NotifyEvent::MessageExpunge),
        ("FlagChange", NotifyEvent::FlagChange),
        ("AnnotationChange", NotifyEvent::AnnotationChange),
        ("MailboxName", NotifyEvent::MailboxName),
        ("SubscriptionChange", NotifyEvent::SubscriptionChange),
        ("MailboxMetadataChange", NotifyEvent::MailboxMetadataChange),
        ("ServerMetadataChange", NotifyEvent::ServerMetadataChange),
    ];
    /// As on the wire.
    pub fn name(&self) -> &str {
        match self {
            NotifyEvent::Other(word) => word,
            NotifyEvent::MessageNew(_) => "MessageNew",
            known => Self::NAMES.into_iter().find(|(_, event)| event == known).map_or("", |(name, _)| name),
        }
    }
    fn parse(c: &mut Cursor<'_>) -> Parsed<NotifyEvent> {
        let word = c.atom()?;
        let known = Self::NAMES.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
        let event = known.map_or_else(|| NotifyEvent::Other(SmolStr::new(word)), |(_, event)| event);
        // Its fetch items stand in parentheses after it.
        if matches!(event, NotifyEvent::MessageNew(_)) && c.peek() == Some(b' ') && c.peek_at(1) == Some(b'(') {
            c.space()?;
            return Ok(NotifyEvent::MessageNew(c.list(false, FetchItem::parse)?));
        }
        Ok(event)
    }
    fn encode(&self, e: &mut Encoder) {
        e.raw(self.name());
        if let NotifyEvent::MessageNew(items) = self
            && !items.is_empty()
        {
            e.raw(" ");
            e.list(items, |e, item| item.encode(e));
        }
    }
}

fn mailboxes(c: &mut Cursor<'_>) -> Parsed<Vec<MailboxName>> {
    c.space()?;
    if c.peek() == Some(b'(') { c.list(false, MailboxName::parse) } else { Ok(vec![MailboxName::parse(c)?]) }
}

fn encode_mailboxes(e: &mut Encoder, name: &str, mailboxes: &[MailboxName]) {
    e.raw(name);
    e.raw(" ");
    match mailboxes {
        [one] => one.encode(e),
        many => e.list(many, |e, mailbox| mailbox.encode(e)),
    }
}

impl MailboxFilter {
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<MailboxFilter> {
        let word = c.atom()?.to_ascii_lowercase();
        Ok(match word.as_str() {
            "selected" => MailboxFilter::Selected,
            "selected-delayed" => MailboxFilter::SelectedDelayed,
            "inboxes" => MailboxFilter::Inboxes,
            "personal" => MailboxFilter::Personal,
            "subscribed" => MailboxFilter::Subscribed,
            "subtree" => MailboxFilter::Subtree(mailboxes(c)?),
            "subtree-one" => MailboxFilter::SubtreeOne(mailboxes(c)?),
            "mailboxes" => MailboxFilter::Mailboxes(mailboxes(c)?),
            _ => return c.error("unknown mailbox filter"),
        })
    }
    pub(crate) fn encode(&self, e: &mut Encoder) {
        match self {
            MailboxFilter::Selected => e.raw("selected"),
            MailboxFilter::SelectedDelayed => e.raw("selected-delayed"),
            MailboxFilter::Inboxes => e.raw("inboxes"),
            MailboxFilter::Personal => e.raw("personal"),
            MailboxFilter::Subscribed => e.raw("subscribed"),
            MailboxFilter::Subtree(names) => encode_mailboxes(e, "subtree", names),
            MailboxFilter::SubtreeOne(names) => encode_mailboxes(e, "subtree-one", names),
            MailboxFilter::Mailboxes(names) => encode_mailboxes(e, "mailboxes", names),
        }
    }
}

impl EventGroup {
    fn parse(c: &mut Cursor<'_>) -> Parsed<EventGroup> {
        c.open()?;
        let filter = MailboxFilter::parse(c)?;
        c.space()?;
        let events = if c.eat_text("NONE") { Vec::new() } else { c.list(false, NotifyEvent::parse)? };
        c.close()?;
        let group = EventGroup { filter, events };
        group.check(c)?;
        Ok(group)
    }

    /// RFC 5465 §5: MessageNew and MessageExpunge come together, FlagChange and AnnotationChange only with them.
    fn check(&self, c: &Cursor<'_>) -> Parsed<()> {
        let has = |wanted: fn(&NotifyEvent) -> bool| self.events.iter().any(wanted);
        let new = has(|event| matches!(event, NotifyEvent::MessageNew(_)));
        let expunge = has(|event| *event == NotifyEvent::MessageExpunge);
        let more = has(|event| matches!(event, NotifyEvent::FlagChange | NotifyEvent::AnnotationChange));
        let items = has(|event| matches!(event, NotifyEvent::MessageNew(items) if !items.is_empty()));
        let selected = matches!(self.filter, MailboxFilter::Selected | MailboxFilter::SelectedDelayed);
        if new != expunge || (more && !new) {
            return c.error("MessageNew and MessageExpunge come together, and before FlagChange");
        }
        if items && !selected {
            return c.error("MessageNew has fetch items for the selected mailbox only");
        }
        Ok(())
    }

    fn encode(&self, e: &mut Encoder) {
        e.raw("(");
        self.filter.encode(e);
        e.raw(" ");
        if self.events.is_empty() {
            e.raw("NONE");
        } else {
            e.list(&self.events, |e, event| event.encode(e));
        }
        e.raw(")");
    }
}

impl Notify {
    /// After `NOTIFY`.
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<Notify> {
        c.space()?;
        if c.eat_text("NONE") {
            return Ok(Notify::None);
        }
        if !c.eat_text("SET ") {
            return c.error("NOTIFY takes SET or NONE");
        }
        c.skip_spaces();
        let status = c.eat_text("STATUS ");
        c.skip_spaces();
        let mut groups = vec![EventGroup::parse(c)?];
        while c.eat_space() {
            if groups.len() >= LIST_ITEMS_MAX {
                return c.error("too many event groups");
            }
            groups.push(EventGroup::parse(c)?);
        }
        let selected = |group: &&EventGroup| matches!(group.filter, MailboxFilter::Selected | MailboxFilter::SelectedDelayed);
        if groups.iter().filter(selected).count() > 1 {
            return c.error("the selected mailbox stands in one group only");
        }
        Ok(Notify::Set { status, groups })
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        match self {
            Notify::None => e.raw("NOTIFY NONE"),
            Notify::Set { status, groups } => {
                e.raw(if *status { "NOTIFY SET STATUS " } else { "NOTIFY SET " });
                e.spaced(groups, |e, group| group.encode(e));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Option<String> {
        let mut c = Cursor::new(text.as_bytes());
        c.eat_text("NOTIFY").then_some(())?;
        let notify = Notify::parse(&mut c).ok()?;
        c.end().ok()?;
        let mut e = Encoder::server(Vec::new(), false);
        notify.encode(&mut e);
        Some(String::from_utf8(e.bytes).unwrap())
    }

    #[test]
    fn both_ways() {
        for text in [
            "NOTIFY NONE",
            "NOTIFY SET (selected (MessageNew (UID BODY.PEEK[HEADER.FIELDS (From Subject)]) MessageExpunge)) (subtree Lists NONE)",
            "NOTIFY SET STATUS (selected-delayed (MessageNew MessageExpunge FlagChange)) (inboxes (MessageNew MessageExpunge)) (personal (MailboxName SubscriptionChange))",
            "NOTIFY SET (mailboxes (a \"b c\") (MailboxMetadataChange ServerMetadataChange)) (subscribed (X-New))",
        ] {
            assert_eq!(read(text).unwrap().to_ascii_lowercase(), text.to_ascii_lowercase());
        }
        for bad in [
            "NOTIFY",
            "NOTIFY SET",
            "NOTIFY SET STATUS",
            "NOTIFY SET (selected)",
            "NOTIFY SET (selected (MessageNew))",
            "NOTIFY SET (selected (FlagChange))",
            "NOTIFY SET (personal (MessageNew (UID) MessageExpunge))",
            "NOTIFY SET (selected NONE) (selected-delayed NONE)",
            "NOTIFY SET (foo NONE)",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
