//! The small commands: NAMESPACE (RFC 9051 §6.3.10), ID (RFC 2971), ENABLE (RFC 9051 §6.3.1).

use super::failure::{Outcome, done};
use super::session::Session;
use wire::imap::enable::Extension;
use wire::imap::id::Id;
use wire::imap::namespace::{Namespace, NamespaceResponse};
use wire::imap::response::Response;

impl Session {
    /// One personal namespace, without a prefix.
    pub(crate) fn namespace(&mut self) -> Outcome {
        let personal = vec![Namespace { prefix: String::new(), delimiter: Some('/') }];
        self.wire.untagged(&Response::Namespace(NamespaceResponse { personal, ..NamespaceResponse::default() }));
        done("Namespaces listed")
    }

    /// Who we are.
    pub(crate) fn id(&mut self) -> Outcome {
        let fields = [("name", "Packetboat"), ("version", env!("CARGO_PKG_VERSION"))];
        let fields = fields.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).to_vec();
        self.wire.untagged(&Response::Id(Id { fields: Some(fields) }));
        done("Pleased to meet you")
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
                Extension::QResync | Extension::UidOnly | Extension::Other(_) => continue,
            }
            if !enabled.contains(extension) {
                enabled.push(extension.clone());
            }
        }
        self.wire.untagged(&Response::Enabled(enabled));
        done("Enabled")
    }
}
