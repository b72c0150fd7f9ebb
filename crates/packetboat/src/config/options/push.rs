//! Options of push services.

use super::OptionBlock;

pub(super) const PRIVATE_ADDRESSES: OptionBlock = OptionBlock {
    name: "push.private_addresses",
    doc: "Programs may name push services (RFC 8030) on this computer or in private networks, to be told of new mail there. Without it only public addresses are connected to, whatever a name leads to.",
    default: "false",
    example: "true",
    read: |config, item| {
        if let Some(yes) = item.boolean() {
            config.private_push = yes;
        }
    },
    refused: &["\"yes\"", "1"],
};
