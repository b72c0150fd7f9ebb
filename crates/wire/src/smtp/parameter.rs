//! Parameters of MAIL and RCPT: SIZE (RFC 1870), BODY (RFC 6152, RFC 3030), SMTPUTF8 (RFC 6531), AUTH (RFC 4954), and RET, ENVID,
//! NOTIFY and ORCPT (RFC 3461).
//!
//! ABNF: `esmtp-param = esmtp-keyword ["=" esmtp-value]`, parted by spaces; keywords in any case.

use super::wishes::{Keywords, Wishes};
use crate::limits::smtp as limits;

/// BODY= (RFC 6152 §2, RFC 3030 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum Body {
    #[default]
    SevenBit,
    EightBitMime,
    /// Comes by BDAT only.
    BinaryMime,
}

/// RET= (RFC 3461 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Ret {
    Full,
    Headers,
}

/// Parameters of MAIL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailParameters {
    /// Declared octets.
    pub size: Option<u64>,
    /// 7BIT, 8BITMIME or BINARYMIME.
    pub body: Body,
    /// The message or an address needs RFC 6531.
    pub smtputf8: bool,
    /// RET=.
    pub ret: Option<Ret>,
    /// ENVID=, decoded.
    pub envelope_id: Option<String>,
    /// AUTH=, decoded; `<>` is "".
    pub auth: Option<String>,
    /// REQUIRETLS, BY=, HOLDFOR=, HOLDUNTIL=, MT-PRIORITY=, SOLICIT=.
    pub wishes: Wishes,
}

/// Parameters of RCPT.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RcptParameters {
    /// NOTIFY= as bits; 0 is "not given".
    pub notify: u8,
    /// ORCPT=, decoded, with its type: `rfc822;a@b`.
    pub original: Option<String>,
}

#[allow(missing_docs)]
impl RcptParameters {
    pub const NOTIFY_NEVER: u8 = 1;
    pub const NOTIFY_SUCCESS: u8 = 2;
    pub const NOTIFY_FAILURE: u8 = 4;
    pub const NOTIFY_DELAY: u8 = 8;
}

/// Which parameters were offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// RET, ENVID, NOTIFY, ORCPT.
    pub dsn: bool,
    /// AUTH.
    pub auth: bool,
    /// The rest.
    pub keywords: Keywords,
}

/// Why parameters are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadParameter {
    /// Known, but its value is wrong, or it stands there twice: 501 5.5.4.
    Syntax,
    /// Not known or not offered: 555 5.5.4.
    Unknown,
}

/// Parses what follows the path of MAIL.
pub fn mail(text: &str, offered: &Offered) -> Result<MailParameters, BadParameter> {
    let mut out = MailParameters::default();
    let mut seen = Seen::default();
    for word in words(text)? {
        let (keyword, value) = word;
        match seen.keyword(keyword)?.as_str() {
            "SIZE" => out.size = Some(size(value)?),
            "BODY" => {
                out.body = match value.map(str::to_ascii_uppercase).as_deref() {
                    Some("7BIT") => Body::SevenBit,
                    Some("8BITMIME") => Body::EightBitMime,
                    Some("BINARYMIME") => Body::BinaryMime,
                    _ => return Err(BadParameter::Syntax),
                }
            }
            "SMTPUTF8" if value.is_none() => out.smtputf8 = true,
            "SMTPUTF8" => return Err(BadParameter::Syntax),
            "RET" if offered.dsn => {
                out.ret = match value.map(str::to_ascii_uppercase).as_deref() {
                    Some("FULL") => Some(Ret::Full),
                    Some("HDRS") => Some(Ret::Headers),
                    _ => return Err(BadParameter::Syntax),
                }
            }
            "ENVID" if offered.dsn => out.envelope_id = Some(bounded_xtext(value, limits::ENVID_BYTES_MAX)?),
            "AUTH" if offered.auth => {
                out.auth = match value {
                    Some("<>") => Some(String::new()),
                    other => Some(bounded_xtext(other, limits::ORCPT_BYTES_MAX)?),
                }
            }
            other => {
                if !out.wishes.take(other, value, &offered.keywords)? {
                    return Err(BadParameter::Unknown);
                }
            }
        }
    }
    Ok(out)
}

/// Parses what follows the path of RCPT.
pub fn rcpt(text: &str, offered: &Offered) -> Result<RcptParameters, BadParameter> {
    let mut out = RcptParameters::default();
    let mut seen = Seen::default();
    for (keyword, value) in words(text)? {
        match seen.keyword(keyword)?.as_str() {
            "NOTIFY" if offered.dsn => out.notify = notify(value)?,
            "ORCPT" if offered.dsn => out.original = Some(original(value)?),
            _ => return Err(BadParameter::Unknown),
        }
    }
    Ok(out)
}

/// RFC 3461 §4: a keyword stands once.
#[derive(Default)]
struct Seen(Vec<String>);

impl Seen {
    fn keyword(&mut self, keyword: &str) -> Result<String, BadParameter> {
        let keyword = keyword.to_ascii_uppercase();
        if self.0.contains(&keyword) {
            return Err(BadParameter::Syntax);
        }
        self.0.push(keyword.clone());
        Ok(keyword)
    }
}

/// Splits into keywords and values; the text begins with a space unless it is empty.
fn words(text: &str) -> Result<Vec<(&str, Option<&str>)>, BadParameter> {
    if !text.is_empty() && !text.starts_with(' ') {
        return Err(BadParameter::Syntax);
    }
    text.split(' ')
        .filter(|word| !word.is_empty())
        .map(|word| {
            let (keyword, value) = match word.split_once('=') {
                Some((keyword, value)) => (keyword, Some(value)),
                None => (word, None),
            };
            let good = keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
                && keyword.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && value.is_none_or(|v| !v.is_empty() && !v.chars().any(char::is_control));
            if good { Ok((keyword, value)) } else { Err(BadParameter::Syntax) }
        })
        .collect()
}

/// `size-value = 1*20DIGIT`
fn size(value: Option<&str>) -> Result<u64, BadParameter> {
    let digits = value.filter(|v| v.len() <= 20 && v.bytes().all(|b| b.is_ascii_digit())).ok_or(BadParameter::Syntax)?;
    // Twenty digits may be past 2^64: larger than any limit, so as good as the largest number.
    Ok(digits.parse().unwrap_or(u64::MAX))
}

/// `notify-esmtp-value = "NEVER" / 1#( "SUCCESS" / "FAILURE" / "DELAY" )`
fn notify(value: Option<&str>) -> Result<u8, BadParameter> {
    let mut bits = 0;
    for word in value.ok_or(BadParameter::Syntax)?.split(',') {
        bits |= match word.to_ascii_uppercase().as_str() {
            "NEVER" => RcptParameters::NOTIFY_NEVER,
            "SUCCESS" => RcptParameters::NOTIFY_SUCCESS,
            "FAILURE" => RcptParameters::NOTIFY_FAILURE,
            "DELAY" => RcptParameters::NOTIFY_DELAY,
            _ => return Err(BadParameter::Syntax),
        };
    }
    let alone = bits & RcptParameters::NOTIFY_NEVER == 0 || bits == RcptParameters::NOTIFY_NEVER;
    if alone { Ok(bits) } else { Err(BadParameter::Syntax) }
}

/// `addr-type ";" xtext`; the type `utf-8` (RFC 6533 §3) may hold UTF-8 itself.
fn original(value: Option<&str>) -> Result<String, BadParameter> {
    let (kind, address) = value.and_then(|v| v.split_once(';')).ok_or(BadParameter::Syntax)?;
    if kind.is_empty() || !kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(BadParameter::Syntax);
    }
    let address = bounded_xtext(Some(address), limits::ORCPT_BYTES_MAX)?;
    Ok(format!("{kind};{address}"))
}

fn bounded_xtext(value: Option<&str>, bytes_max: usize) -> Result<String, BadParameter> {
    let text = xtext_decode(value.ok_or(BadParameter::Syntax)?).ok_or(BadParameter::Syntax)?;
    if text.is_empty() || text.len() > bytes_max || text.chars().any(char::is_control) {
        return Err(BadParameter::Syntax);
    }
    Ok(text)
}

/// `xtext = *( xchar / hexchar )`, `hexchar = "+" 2(%x30-39 / %x41-46)` (RFC 3461 §4).
pub fn xtext_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        match octet {
            b'+' => out.push(hex(octets.next()?)? << 4 | hex(octets.next()?)?),
            b'=' => return None,
            0x21..=0x7e | 0x80.. => out.push(octet),
            _ => return None,
        }
    }
    String::from_utf8(out).ok()
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        // Lower case is against the letter, but seen.
        b'A'..=b'F' => Some(digit - b'A' + 10),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// The other way.
pub fn xtext_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'+' | b'=' | 0..=0x20 | 0x7f.. => out.push_str(&format!("+{octet:02X}")),
            _ => out.push(char::from(octet)),
        }
    }
    out
}

/// NOTIFY's value for bits that are not 0.
pub fn notify_encode(bits: u8) -> String {
    let names = [
        (RcptParameters::NOTIFY_NEVER, "NEVER"),
        (RcptParameters::NOTIFY_SUCCESS, "SUCCESS"),
        (RcptParameters::NOTIFY_FAILURE, "FAILURE"),
        (RcptParameters::NOTIFY_DELAY, "DELAY"),
    ];
    let words: Vec<&str> = names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    words.join(",")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const OFF: Keywords = Keywords {
        require_tls: false,
        deliver_by_min_secs: None,
        future_release: None,
        mt_priority: false,
        recipients_max: None,
        messages_max: None,
        no_soliciting: None,
    };
    const ALL: &Offered = &Offered { dsn: true, auth: true, keywords: OFF };
    const NONE: &Offered = &Offered { dsn: false, auth: false, keywords: OFF };

    #[test]
    fn mail_parameters() {
        let got = mail(" SIZE=1000 body=8bitmime SMTPUTF8 RET=HDRS ENVID=a+2Bb AUTH=<>", ALL).unwrap();
        assert_eq!(got.size, Some(1000));
        assert_eq!((got.body, got.smtputf8, got.ret), (Body::EightBitMime, true, Some(Ret::Headers)));
        assert_eq!((got.envelope_id.as_deref(), got.auth.as_deref()), (Some("a+b"), Some("")));
        assert_eq!(mail("", ALL).unwrap(), MailParameters::default());
        assert_eq!(mail(" SIZE=99999999999999999999", ALL).unwrap().size, Some(u64::MAX));
    }

    #[test]
    fn refused() {
        for text in
            ["SIZE=1", " SIZE=", " SIZE=1 SIZE=2", " SIZE=-1", " BODY=9BIT", " SMTPUTF8=1", " RET=ALL", " ENVID=+G1", " =1"]
        {
            assert_eq!(mail(text, ALL), Err(BadParameter::Syntax), "{text}");
        }
        for text in [" FOO", " FOO=1", " NOTIFY=NEVER"] {
            assert_eq!(mail(text, ALL), Err(BadParameter::Unknown), "{text}");
        }
        assert_eq!(mail(" RET=FULL", NONE), Err(BadParameter::Unknown));
        assert_eq!(rcpt(" NOTIFY=NEVER", NONE), Err(BadParameter::Unknown));
        assert_eq!(rcpt(" NOTIFY=NEVER,DELAY", ALL), Err(BadParameter::Syntax));
        assert_eq!(rcpt(" ORCPT=a@b", ALL), Err(BadParameter::Syntax));
    }

    #[test]
    fn rcpt_parameters_both_ways() {
        let got = rcpt(" NOTIFY=success,DELAY ORCPT=rfc822;ann+2Bx@here.test", ALL).unwrap();
        assert_eq!(notify_encode(got.notify), "SUCCESS,DELAY");
        assert_eq!(got.original.as_deref(), Some("rfc822;ann+x@here.test"));
        for text in ["plain", "a+b=c d", "grå", ""] {
            assert_eq!(xtext_decode(&xtext_encode(text)).as_deref(), Some(text));
        }
    }
}
