//! Options of old accounts that people link.

use super::OptionBlock;

pub(super) const PRIVATE_ADDRESSES: OptionBlock = OptionBlock {
    name: "links.private_addresses",
    doc: "People may name servers on this computer or in private networks for the old accounts whose mail they bring here (Settings, Bring your mail). Without it only public addresses are connected to, whatever a name leads to.",
    default: "false",
    example: "true",
    read: |config, item| {
        if let Some(yes) = item.boolean() {
            config.private_links = yes;
        }
    },
    refused: &["\"yes\"", "1"],
};
