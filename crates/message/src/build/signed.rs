//! multipart/signed (RFC 1847): the signed part goes to a signer as it goes out. What a signature is, is the signer's.

use std::io::{self, Write};

use super::entity::{Body, Entity};
use super::{BuildError, Composition, Counted, Written};

/// Makes a signature over octets that it sees once.
///
/// ```
/// use message::build::{Builder, Signer};
/// struct Sum(u8);
/// impl Signer for Sum {
///     fn protocol(&self) -> &str { "application/x-sum" }
///     fn micalg(&self) -> &str { "x-sum" }
///     fn octets(&mut self, canonical: &[u8]) { for b in canonical { self.0 = self.0.wrapping_add(*b); } }
///     fn signature(&mut self) -> std::io::Result<Vec<u8>> { Ok(vec![self.0, 0xff]) }
/// }
/// let mut out = Vec::new();
/// Builder::new(0, "1@here.test").text("Signed\n").write_signed_to(&mut Sum(0), &mut out).unwrap();
/// let message = message::parse(&out);
/// let signed = &message.parts[1];
/// let sum = out[signed.header.start..signed.body.end].iter().fold(0u8, |sum, b| sum.wrapping_add(*b));
/// assert_eq!(message::transfer::base64_decode(message.body(&message.parts[2])), [sum, 0xff]);
/// ```
pub trait Signer {
    /// Media type of the signature: `application/pgp-signature`, `application/pkcs7-signature`.
    fn protocol(&self) -> &str;
    /// The digest, as the protocol names it: `pgp-sha256`, `sha-256`.
    fn micalg(&self) -> &str;
    /// More of the signed part, its header included.
    fn octets(&mut self, canonical: &[u8]);
    /// The signed part is over: the content of the second part.
    fn signature(&mut self) -> io::Result<Vec<u8>>;
}

struct Tee<'s, 'o> {
    signer: &'s mut dyn Signer,
    out: &'o mut dyn Write,
}

impl Write for Tee<'_, '_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.out.write(octets)?;
        self.signer.octets(octets.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

pub(super) fn write(
    mut composition: Composition<'_>,
    signer: &mut dyn Signer,
    out: &mut dyn Write,
) -> Result<Written, BuildError> {
    let needs = composition.needs();
    let mut out = Counted { out, octets: 0 };
    out.write_all(composition.header.as_bytes())?;
    let token = |word: &str| word.chars().filter(|c| c.is_ascii_graphic() && !"\"\\;".contains(*c)).take(200).collect::<String>();
    let (protocol, micalg) = (token(signer.protocol()), token(signer.micalg()));
    let boundary = composition.boundaries.next();
    write!(
        out,
        "Content-Type: multipart/signed; micalg=\"{micalg}\";\r\n protocol=\"{protocol}\";\r\n boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n"
    )?;
    composition.entity.write(&mut Tee { signer, out: &mut out }, &mut composition.boundaries)?;
    write!(out, "\r\n--{boundary}\r\n")?;
    let fields = format!("Content-Type: {protocol}\r\n");
    Entity::armoured(fields, signer.signature()?).write(&mut out, &mut composition.boundaries)?;
    write!(out, "\r\n--{boundary}--\r\n")?;
    out.flush()?;
    Ok(Written { octets: out.octets, needs })
}

impl Entity<'_> {
    /// Text of 7 bits as it is, anything else as base64.
    fn armoured(fields: String, octets: Vec<u8>) -> Entity<'static> {
        // `=_` stands in every boundary.
        if octets.is_ascii() && super::travels(&octets) && !octets.windows(2).any(|w| w == b"=_") {
            let fields = fields + "Content-Transfer-Encoding: 7bit\r\n";
            return Entity::Leaf { fields, body: Body::Octets(octets.into()) };
        }
        let fields = fields + "Content-Transfer-Encoding: base64\r\n";
        Entity::Leaf { fields, body: Body::Base64(octets.into()) }
    }
}
