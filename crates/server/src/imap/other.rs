//! The small commands: NAMESPACE (RFC 9051 §6.3.10), ID (RFC 2971), ENABLE (RFC 9051 §6.3.1).

use super::failure::{Outcome, Trouble, done, no};
use super::place::{OTHER_USERS, SHARED};
use super::session::Session;
use super::switches::CapabilityOff;
use wire::imap::enable::Extension;
use wire::imap::id::Id;
use wire::imap::limits::UID_BATCH_MESSAGES_MIN;
use wire::imap::namespace::{Namespace, NamespaceResponse};
use wire::imap::response::Response;
use wire::imap::{Code, Tag};

impl Session {
    /// One's own without a prefix, other people's, and what nobody owns.
    pub(crate) fn namespace(&mut self) -> Outcome {
        let of = |prefix: String| vec![Namespace { prefix, delimiter: Some('/') }];
        let (other_users, shared) = (of(format!("{OTHER_USERS}/")), of(format!("{SHARED}/")));
        self.wire.untagged(&Response::Namespace(NamespaceResponse { personal: of(String::new()), other_users, shared }));
        done("Namespaces listed")
    }

    /// Who we are.
    pub(crate) fn id(&mut self, client: &Id) -> Outcome {
        let theirs = client.fields.iter().flatten().find(|(field, _)| field.eq_ignore_ascii_case("name"));
        if let Some((_, Some(name))) = theirs {
            self.wire.switch_off(CapabilityOff::for_client(&self.context.imap.settings.switches, name));
        }
        let fields = [("name", "Packetboat"), ("version", env!("CARGO_PKG_VERSION"))];
        let fields = fields.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).to_vec();
        self.wire.untagged(&Response::Id(Id { fields: Some(fields) }));
        done("Pleased to meet you")
    }

    /// UNAUTHENTICATE (RFC 8437): all of the session but the connection and its TLS is as it was before sign-in. Nothing is expunged.
    pub(crate) fn unauthenticate(&mut self) {
        (self.signed_in, self.view, self.notify) = (None, None, None);
        (self.rev2, self.condstore, self.qresync, self.uid_only) = (false, false, false, false);
        self.wire.unauthenticated();
    }

    /// UIDBATCHES (RFC 10022): the first batch has the highest UIDs; all are of `size` messages but the last.
    pub(crate) async fn uid_batches(&mut self, tag: Tag, size: u32, asked: Option<(u32, u32)>) -> Outcome {
        self.sync(true).await?;
        if size < UID_BATCH_MESSAGES_MIN {
            let code = Code::Other { name: "TOOFEW".into(), argument: None };
            return Err(no(code, "A batch has at least 500 messages"));
        }
        let (first, last) = asked.unwrap_or((1, u32::MAX));
        // A batch that no command would take whole is of no use (RFC 9738).
        let size = self.context.imap.settings.messages_max.map_or(size, |max| size.min(max.get()));
        let (rows, size) = (self.view()?.rows(), size as usize);
        let batch = |number: usize| {
            let end = rows.len().checked_sub(number.checked_mul(size)?).filter(|end| *end > 0)?;
            Some((rows.uid(end - 1)?.0, rows.uid(end.saturating_sub(size))?.0))
        };
        let last = (last as usize).min(rows.len().div_ceil(size));
        let batches: Vec<(u32, u32)> = (first as usize..=last).filter_map(|number| batch(number.checked_sub(1)?)).collect();
        self.wire.untagged(&Response::UidBatches { tag, batches });
        done("Batches told")
    }

    /// GETJMAPACCESS (RFC 9698): where this mail is by JMAP, under the same names and for the same passwords.
    pub(crate) fn jmap_access(&mut self) -> Outcome {
        let Some(url) = self.context.imap.settings.jmap_url.clone() else {
            return Err(Trouble::Bad("There is no JMAP here"));
        };
        self.wire.untagged(&Response::JmapAccess(url));
        done("That is where")
    }

    /// Only what is known is enabled and listed; the rest is passed over.
    pub(crate) fn enable(&mut self, extensions: &[Extension]) -> Outcome {
        let mut enabled = Vec::new();
        for extension in extensions {
            match extension {
                Extension::Imap4rev2 => {
                    self.rev2 = true;
                    self.wire.set_utf8(true);
                }
                Extension::Utf8Accept => self.wire.set_utf8(true),
                Extension::CondStore => self.enable_condstore(),
                Extension::QResync => {
                    self.enable_condstore();
                    self.qresync = true;
                }
                Extension::UidOnly => self.uid_only = true,
                Extension::Other(_) => continue,
            }
            if !enabled.contains(extension) {
                enabled.push(extension.clone());
            }
        }
        self.wire.untagged(&Response::Enabled(enabled));
        done("Enabled")
    }
}
