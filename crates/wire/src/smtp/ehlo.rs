//! EHLO keywords: what a server offers and what a client understood of it (RFC 5321 §4.1.1.1).
//!
//! PIPELINING (2920), SIZE (1870), 8BITMIME (6152), SMTPUTF8 (6531), ENHANCEDSTATUSCODES (2034), STARTTLS (3207),
//! CHUNKING and BINARYMIME (3030), AUTH (4954), DSN (3461), HELP.

use super::wishes::Keywords;
use super::xclient;
use crate::sasl::Mechanism;
use std::borrow::Cow;

/// The keywords of one server, of those we know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Offers {
    pub pipelining: bool,
    /// `Some(0)`: offered without a limit.
    pub size: Option<u64>,
    pub eight_bit_mime: bool,
    pub smtputf8: bool,
    pub enhanced_status_codes: bool,
    pub starttls: bool,
    pub chunking: bool,
    pub binary_mime: bool,
    pub dsn: bool,
    pub help: bool,
    pub auth: Vec<Mechanism>,
    /// AUTH was offered, perhaps with mechanisms we do not know.
    pub any_auth: bool,
    /// What may be asked of the delivery.
    pub keywords: Keywords,
    /// A proxy may tell for whom it speaks.
    pub xclient: bool,
}

impl Offers {
    /// The lines behind the first (which is the server's name). What is not understood is not offered.
    pub fn parse(lines: &[Cow<'static, str>]) -> Offers {
        let mut offers = Offers::default();
        for line in lines.iter().skip(1) {
            // `AUTH=PLAIN LOGIN` is what servers said to the clients of the nineties.
            let line = line.trim();
            let (keyword, rest) = line.split_once([' ', '=']).unwrap_or((line, ""));
            match keyword.to_ascii_uppercase().as_str() {
                "PIPELINING" => offers.pipelining = true,
                "SIZE" => offers.size = Some(rest.trim().parse().unwrap_or(0)),
                "8BITMIME" => offers.eight_bit_mime = true,
                "SMTPUTF8" => offers.smtputf8 = true,
                "ENHANCEDSTATUSCODES" => offers.enhanced_status_codes = true,
                "STARTTLS" => offers.starttls = true,
                "CHUNKING" => offers.chunking = true,
                "BINARYMIME" => offers.binary_mime = true,
                "DSN" => offers.dsn = true,
                "HELP" => offers.help = true,
                "AUTH" => {
                    offers.any_auth = true;
                    for mechanism in rest.split_whitespace().filter_map(Mechanism::parse) {
                        if !offers.auth.contains(&mechanism) {
                            offers.auth.push(mechanism);
                        }
                    }
                }
                "XCLIENT" => offers.xclient = true,
                other => offers.keywords.read(other, rest),
            }
        }
        offers
    }

    /// The keyword lines, in a fixed order.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = |offered: bool, text: &str| {
            if offered {
                lines.push(text.to_owned());
            }
        };
        line(self.pipelining, "PIPELINING");
        match self.size {
            Some(0) => line(true, "SIZE"),
            Some(size) => line(true, &format!("SIZE {size}")),
            None => {}
        }
        line(self.eight_bit_mime, "8BITMIME");
        line(self.smtputf8, "SMTPUTF8");
        line(self.enhanced_status_codes, "ENHANCEDSTATUSCODES");
        line(self.starttls, "STARTTLS");
        line(self.chunking, "CHUNKING");
        line(self.binary_mime, "BINARYMIME");
        line(self.dsn, "DSN");
        for keyword in self.keywords.lines() {
            line(true, &keyword);
        }
        if !self.auth.is_empty() {
            let names: Vec<&str> = self.auth.iter().map(|mechanism| mechanism.name()).collect();
            line(true, &format!("AUTH {}", names.join(" ")));
        }
        line(self.xclient, xclient::OFFERED);
        line(self.help, "HELP");
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        let offers = Offers {
            pipelining: true,
            size: Some(1000),
            eight_bit_mime: true,
            smtputf8: true,
            enhanced_status_codes: true,
            starttls: true,
            chunking: true,
            binary_mime: true,
            dsn: true,
            help: true,
            auth: Mechanism::ALL.to_vec(),
            any_auth: true,
            keywords: Keywords { require_tls: true, recipients_max: Some(7), ..Keywords::default() },
            xclient: true,
        };
        let mut lines = vec![Cow::Borrowed("mx.test hello")];
        lines.extend(offers.lines().into_iter().map(Cow::Owned));
        assert_eq!(Offers::parse(&lines), offers);
        assert_eq!(lines.len(), 15);
    }

    #[test]
    fn as_real_servers_say_it() {
        let lines = ["mx.test", "size 0", "AUTH=LOGIN PLAIN", "AUTH GSSAPI LOGIN PLAIN", "XCLIENT NAME", "8bitmime "];
        let offers = Offers::parse(&lines.map(Cow::Borrowed));
        assert_eq!((offers.size, offers.eight_bit_mime, offers.dsn), (Some(0), true, false));
        assert_eq!(offers.auth, [Mechanism::Login, Mechanism::Plain]);
    }
}
