//! The explainer of dialogues against anything both sides may say: never a secret, the same at every chunking.

use crate::pieces::take;
use wire::explain::{Explained, Explainer, Protocol, Side};

/// Data: protocol and size of pieces; then lines, each begun by an octet whose lowest bit is the side.
pub(crate) fn explain(data: &[u8]) {
    let ([which, size], rest) = take(data);
    let protocol = [Protocol::Smtp, Protocol::Lmtp, Protocol::Pop3, Protocol::Imap][usize::from(which) % 4];
    let said: Vec<(Side, Vec<u8>)> = rest
        .split_inclusive(|octet| *octet == b'\n')
        .map(|line| {
            let ([side], line) = take(line);
            (if side & 1 == 0 { Side::Client } else { Side::Server }, line.to_vec())
        })
        .collect();
    let play = |size: usize| -> Vec<Explained> {
        let mut explainer = Explainer::new(protocol);
        said.iter()
            .flat_map(|(side, line)| line.chunks(size).flat_map(|piece| explainer.said(*side, piece)).collect::<Vec<_>>())
            .collect()
    };
    let whole = play(usize::MAX);
    assert_eq!(whole, play(usize::from(size % 7) + 1));
    for step in &whole {
        assert!(step.line.chars().count() <= 201 && !step.line.chars().any(char::is_control));
    }
}
