//! The words of `packetboat acl ...` and `packetboat shared ...`.

use clap::Subcommand;

/// `packetboat acl ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum AclCommand {
    /// Who may do what with an account's mailboxes, beside its owner
    List {
        /// local@domain, the account
        address: String,
        /// Only this mailbox
        mailbox: Option<String>,
    },
    /// Give rights (RFC 4314: l r s w i p k x t e a, or `all`), or with + or - in front add or take some
    Set {
        /// local@domain, the account
        address: String,
        /// The mailbox; `*` is every one there is, and in a shared account those made later
        mailbox: String,
        /// Who: local@domain, or `anyone`; with `-` in front rights are kept from them
        #[arg(allow_hyphen_values = true)]
        identifier: String,
        /// `lrs`, `+w`, `-te`, `all`
        #[arg(allow_hyphen_values = true)]
        rights: String,
    },
    /// Take somebody off the list
    Remove {
        /// local@domain, the account
        address: String,
        /// The mailbox, or `*`
        mailbox: String,
        /// Who
        #[arg(allow_hyphen_values = true)]
        identifier: String,
    },
}

/// `packetboat shared ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum SharedCommand {
    /// Make mailboxes that nobody owns; they get mail at this address, and are read by those who are given rights
    Add {
        /// local@domain, in one of the served domains
        address: String,
        /// Who gets every right in it
        #[arg(long, value_name = "ADDRESS")]
        admin: Vec<String>,
        /// Octets it may hold
        #[arg(long, value_name = "BYTES")]
        quota: Option<u64>,
    },
    /// All of them
    List,
}
