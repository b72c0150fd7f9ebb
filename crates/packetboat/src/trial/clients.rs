//! Files for mail programs, so that the copy-paste commands work and no password is ever in an argument (everybody can
//! read arguments in `ps`): one set for each person, mode 0600, in the trial's data directory.

use super::people::{PEOPLE, Passwords};
use super::tour::Place;
use crate::private_file;
use std::path::Path;

/// Writes them.
pub(super) fn write(dir: &Path, places: &[Place], passwords: &Passwords) -> Result<(), String> {
    for (name, domain, person) in PEOPLE {
        let Some(place) = places.iter().find(|place| place.domain == domain) else { continue };
        let address = format!("{name}@{domain}");
        let password = passwords.of(&address);
        private_file::write(&dir.join(format!("{name}.curlrc")), curlrc(&address, password).as_bytes())?;
        private_file::write(&dir.join(format!("{name}.swaksrc")), swaksrc(&address, password, place).as_bytes())?;
        private_file::write(&dir.join(format!("{name}.muttrc")), muttrc(&address, person, password, place).as_bytes())?;
    }
    private_file::write(&dir.join("hello.eml"), HELLO.as_bytes())
}

/// A first message to send.
const HELLO: &str = "From: Ann <ann@here.test>\r\nTo: Carol <carol@there.test>\r\nSubject: Hello from here\r\n\r\nHello Carol, this crossed from one post office to the other.\r\n";

fn curlrc(address: &str, password: &str) -> String {
    format!("# {address} for curl: curl -K THIS_FILE ...\nuser = \"{address}:{password}\"\nsilent\nshow-error\n")
}

fn swaksrc(address: &str, password: &str, place: &Place) -> String {
    format!(
        "# {address} for swaks: swaks --config THIS_FILE --to ...\n--server 127.0.0.1\n--port {}\n--auth PLAIN\n--auth-user {address}\n--auth-password {password}\n--from {address}\n--auth-hide-password\n",
        place.ports.submission
    )
}

fn muttrc(address: &str, person: &str, password: &str, place: &Place) -> String {
    format!(
        "# {address} for neomutt: neomutt -F THIS_FILE\n\
         set from = \"{address}\"\n\
         set realname = \"{person}\"\n\
         set use_from = yes\n\
         set imap_user = \"{address}\"\n\
         set imap_pass = \"{password}\"\n\
         set folder = \"imap://127.0.0.1:{}/\"\n\
         set spoolfile = \"+INBOX\"\n\
         set record = \"+Sent\"\n\
         set postponed = \"+Drafts\"\n\
         set trash = \"+Trash\"\n\
         set smtp_url = \"smtp://{address}@127.0.0.1:{}/\"\n\
         set smtp_pass = \"{password}\"\n\
         set smtp_authenticators = \"plain\"\n\
         # The connection stays on this computer; see the ports with TLS for encrypted ones.\n\
         set ssl_starttls = no\n\
         set ssl_force_tls = no\n\
         set mail_check = 5\n",
        place.ports.imap, place.ports.submission
    )
}
