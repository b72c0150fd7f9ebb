//! `packetboat mime build`: words and files to a message. The clock and chance that `message` does not have are here.

use super::media_type;
use crate::cli::{BuildArgs, ReportArgs, ReportKind};
use message::address::Address;
use message::build::{Attachment, Builder, Mailbox, Needs, Written, check_field_name};
use message::dsn::{self, Original};
use message::{Facts, address_list, arf, content, date, mdn};
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Makes the message and writes it.
pub(super) fn run(arguments: &BuildArgs, json: bool) -> Result<(), String> {
    let Some(output) = &arguments.output else {
        let mut out = BufWriter::new(std::io::stdout().lock());
        return write(arguments, &mut out).map(drop);
    };
    let told = |error: std::io::Error| format!("{}: {error}", output.display());
    let mut out = BufWriter::new(File::create_new(output).map_err(told)?);
    let written = write(arguments, &mut out);
    if written.is_err() {
        // Half a message is none.
        let _ = std::fs::remove_file(output);
    }
    let Written { octets, needs } = written?;
    if json {
        super::line(&serde_json::json!({ "bytes": octets, "smtputf8": needs.smtputf8, "eight_bit": needs.eight_bit }))?;
    }
    Ok(())
}

fn write(arguments: &BuildArgs, out: &mut dyn Write) -> Result<Written, String> {
    let when = when(arguments.date.as_deref())?;
    let id = message_id(arguments)?;
    if let Some(kind) = arguments.report.report {
        let octets = report(arguments, &arguments.report, kind, when.unix_secs(), &id)?;
        out.write_all(&octets).and_then(|()| out.flush()).map_err(|error| error.to_string())?;
        let header = octets.get(..message::header::header_end(&octets)).unwrap_or_default();
        let needs = Needs { smtputf8: !header.is_ascii(), eight_bit: !octets.is_ascii() };
        return Ok(Written { octets: octets.len() as u64, needs });
    }
    let mut builder = Builder::new(when.unix_secs(), &id).date_offset_minutes(when.offset_minutes);
    builder = head(builder, arguments)?;
    if let Some(file) = &arguments.text {
        let text = text(file)?;
        builder = if arguments.flowed { builder.flowed(&text) } else { builder.text(&text) };
    }
    if let Some(file) = &arguments.html {
        builder = builder.html(&text(file)?);
    }
    for inline in &arguments.inline {
        let (cid, file) = inline.split_once('=').ok_or_else(|| format!("{inline:?}: CID=FILE is wanted"))?;
        builder = builder.inline(attachment(file)?.content_id(cid));
    }
    for file in &arguments.attach {
        builder = builder.attach(attachment(file)?);
    }
    builder.write_to(out).map_err(|error| error.to_string())
}

fn head<'a>(mut builder: Builder<'a>, arguments: &BuildArgs) -> Result<Builder<'a>, String> {
    for from in &arguments.from {
        builder = builder.from(mailbox(from)?);
    }
    if let Some(sender) = &arguments.sender {
        builder = builder.sender(mailbox(sender)?);
    }
    for to in &arguments.reply_to {
        builder = builder.reply_to(mailbox(to)?);
    }
    for to in &arguments.to {
        builder = builder.to(mailbox(to)?);
    }
    for cc in &arguments.cc {
        builder = builder.cc(mailbox(cc)?);
    }
    for bcc in &arguments.bcc {
        builder = builder.bcc(mailbox(bcc)?);
    }
    if let Some(subject) = &arguments.subject {
        builder = builder.subject(subject);
    }
    for id in &arguments.in_reply_to {
        builder = builder.in_reply_to(id);
    }
    for id in &arguments.references {
        builder = builder.references(id);
    }
    for header in &arguments.header {
        let (name, value) = header.split_once(':').ok_or_else(|| format!("{header:?}: NAME: VALUE is wanted"))?;
        check_field_name(name).map_err(|error| format!("{name:?}: {error}"))?;
        if value.contains(['\r', '\n']) {
            return Err(format!("{name}: a field has one line"));
        }
        builder = builder.field(name, value.trim());
    }
    Ok(if arguments.eight_bit { builder.eight_bit() } else { builder })
}

/// `Ann <ann@here.test>` or `ann@here.test`.
pub(crate) fn mailbox(text: &str) -> Result<Mailbox, String> {
    let wrong = || format!("{text:?} is no mailbox; `Name <local@domain>` is wanted");
    if let Ok(address) = Address::parse(text.trim()) {
        return Ok(address.into());
    }
    let list = address_list::parse(text.as_bytes());
    let [one] = list.as_slice() else { return Err(wrong()) };
    let spelled = text.rfind('<').and_then(|at| text.get(at + 1..)).and_then(|rest| rest.strip_suffix('>'));
    let address = Address::parse(spelled.unwrap_or_default().trim()).map_err(|_| wrong())?;
    Ok(Mailbox { name: one.name().filter(|name| !name.is_empty()).map(|name| name.into_owned()), address })
}

fn when(text: Option<&str>) -> Result<date::DateTime, String> {
    match text {
        Some(text) => date::parse_rfc_5322(text.as_bytes()).ok_or_else(|| format!("{text:?} is no date")),
        None => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
            Ok(date::DateTime::from_unix(i64::try_from(now.as_secs()).unwrap_or_default(), 0))
        }
    }
}

fn message_id(arguments: &BuildArgs) -> Result<String, String> {
    if let Some(id) = &arguments.message_id {
        let id = id.trim_start_matches('<').trim_end_matches('>');
        let good = id.contains('@') && id.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>');
        return if good { Ok(id.to_owned()) } else { Err(format!("{id:?} is no Message-ID; left@right is wanted")) };
    }
    let mut chance = [0; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut chance).map_err(|_| "no random octets".to_owned())?;
    let author = arguments.from.first().map(|from| mailbox(from)).transpose()?;
    let domain =
        author.and_then(|author| message::domain::to_ascii(&author.address.domain)).unwrap_or_else(|| "localhost".into());
    Ok(format!("{}@{domain}", data_encoding::HEXLOWER.encode(&chance)))
}

fn text(file: &Path) -> Result<String, String> {
    String::from_utf8(super::read(file)?).map_err(|_| format!("{}: not UTF-8; attach it as a file", file.display()))
}

/// `FILE` or `FILE:TYPE`; what is behind the last colon counts as a type if it looks like one and no file is called so.
pub(crate) fn attachment(word: &str) -> Result<Attachment<'static>, String> {
    let given = word.rsplit_once(':').filter(|(_, kind)| content::ContentType::parse(kind.as_bytes()).is_some());
    let (file, kind) = match given.filter(|_| !Path::new(word).exists()) {
        Some((file, kind)) => (PathBuf::from(file), kind.to_owned()),
        None => (PathBuf::from(word), media_type::of_name(word).to_owned()),
    };
    let told = |error: std::io::Error| format!("{}: {error}", file.display());
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut opened = File::open(&file).map_err(told)?;
    if opened.metadata().map_err(told)?.is_dir() {
        return Err(format!("{}: a directory", file.display()));
    }
    // A message goes as it is, if its lines let it; to see that it must be looked at whole.
    if kind.eq_ignore_ascii_case("message/rfc822") {
        let mut octets = Vec::new();
        opened.read_to_end(&mut octets).map_err(told)?;
        return Ok(Attachment::new(&kind, octets).file_name(&name));
    }
    Ok(Attachment::from_reader(&kind, opened).file_name(&name))
}

fn report(
    arguments: &BuildArgs,
    words: &ReportArgs,
    kind: ReportKind,
    date_secs: i64,
    message_id: &str,
) -> Result<Vec<u8>, String> {
    let original = super::read(words.original.as_deref().unwrap_or(Path::new("-")))?;
    let facts = Facts::compute(&original);
    let from = mailbox(arguments.from.first().map(String::as_str).unwrap_or_default())?;
    let to = arguments.to.first().ok_or("a report wants --to")?;
    let (to, final_recipient) = (mailbox(to)?, words.recipient.clone().unwrap_or_default());
    let returned = Original::Message(&original);
    let action = words.action.as_deref();
    Ok(match kind {
        ReportKind::Delivery => {
            let word = action.unwrap_or("failed");
            let recipient = dsn::RecipientStatus {
                original: None,
                final_recipient,
                action: dsn::Action::from_word(word).ok_or_else(|| format!("{word:?} is no action of a delivery report"))?,
                status: words.status.clone().unwrap_or_else(|| "5.0.0".into()),
                diagnostic: words.diagnostic.clone(),
                remote_mta: None,
                last_attempt_secs: None,
                will_retry_until_secs: None,
            };
            let reporting_mta = from.address.domain.clone();
            let status = dsn::DeliveryStatus { reporting_mta, recipients: vec![recipient], ..dsn::DeliveryStatus::default() };
            dsn::Report { from, to, date_secs, message_id, status, original: returned }.build()
        }
        ReportKind::Disposition => {
            let word = action.unwrap_or("displayed");
            let kind = mdn::DispositionType::from_word(word).ok_or_else(|| format!("{word:?} is no disposition"))?;
            let disposition =
                mdn::Disposition { automatic_action: false, sent_automatically: false, kind, modifiers: Vec::new() };
            let notification = mdn::DispositionNotification {
                reporting_ua: None,
                original_recipient: None,
                final_recipient,
                original_message_id: facts.message_id.clone(),
                disposition,
                errors: Vec::new(),
                gateway: None,
                extensions: Vec::new(),
            };
            let (original_subject, original) = (facts.subject.as_str(), Some(Original::Header(&original)));
            let (subject, text) = (None, None);
            mdn::Report { from, to, date_secs, message_id, original_subject, notification, subject, text, original }.build()
        }
        ReportKind::Abuse => {
            let feedback = arf::FeedbackReport {
                feedback_type: action.unwrap_or("abuse").to_owned(),
                user_agent: concat!("Packetboat/", env!("CARGO_PKG_VERSION")).to_owned(),
                original_rcpt_to: vec![final_recipient],
                ..arf::FeedbackReport::default()
            };
            let original_subject = facts.subject.as_str();
            arf::Report { from, to, date_secs, message_id, original_subject, feedback, original: returned }.build()
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn mailboxes() {
        let told = |text: &str| mailbox(text).map(|m| (m.name, m.address.to_string()));
        assert_eq!(told("ann@here.test"), Ok((None, "ann@here.test".into())));
        assert_eq!(told("Ann B. <ann@here.test>"), Ok((Some("Ann B.".into()), "ann@here.test".into())));
        assert_eq!(told("\"Doe, J\" <j@here.test>"), Ok((Some("Doe, J".into()), "j@here.test".into())));
        assert_eq!(told("Jörg <jörg@bücher.example>"), Ok((Some("Jörg".into()), "jörg@bücher.example".into())));
        for bad in ["", "ann", "ann@", "a@b, c@d", "Ann <ann@here.test", "Ann ann@here.test>", "<a b@c>", "a@b\r\nBcc: c@d"] {
            assert!(mailbox(bad).is_err(), "{bad:?}");
        }
    }
}
