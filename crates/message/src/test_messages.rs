//! Octets for the tests of this crate: messages that are nearly right.

use proptest::prelude::*;

/// Pieces of messages in any order, so that boundaries, headers and nesting meet in every wrong way.
pub(crate) fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&'static [u8]> = vec![
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b"--a\r\n",
        b"--a--\r\n",
        b"--b\r\n",
        b"--b",
        b"--b--",
        b"--",
        b"--a b\r\n",
        b"\0",
        b"\xff\xc3",
        b"Content-Type: multipart/mixed; boundary=a\r\n",
        b"Content-Type: multipart/digest; boundary=\"b\"\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"Content-Type: multipart/alternative;\r\n boundary=\"a b\"\r\n",
        b"Content-Type: text/html; charset=x\r\n",
        b"Content-Type: nonsense\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Disposition: attachment; filename*0*=utf-8''a%41; filename*1=b\r\n",
        b"Subject: =?utf-8?Q?a?= =?",
        b"From: \"a <b@c>, (d\r\n",
        b"To: g: a@b, c;\r\n",
        b"Date: Wed, 17 Jul 1996 02:23:25 -0700\r\n",
        b" folded\r\n",
        b"text",
        b"aGk=\r\n",
        b"Message-ID: <a@b>\r\n",
        b"Content-Language: en, de\r\n",
    ];
    let piece = prop_oneof![8 => proptest::sample::select(pieces).prop_map(<[u8]>::to_vec), 1 => proptest::collection::vec(any::<u8>(), 0..6)];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}
