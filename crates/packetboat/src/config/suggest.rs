//! The nearest known name to a mistyped one. Knows nothing of what the names mean.

/// Edits (insert, delete, replace, swap of neighbours) that turn one word into the other: the restricted
/// Damerau-Levenshtein distance, so that `lsiten` is one edit from `listen`.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, right) in b.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&last, j + 1) + 1).min(at(&row, j) + 1).min(at(&last, j) + usize::from(left != right));
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(right) && b.get(j - 1) == Some(left);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

/// The nearest of `known`, if it is near enough to be what was meant: a third of the word may be wrong. A name whose
/// last part is the same (`auth.plaintext` for `plaintext`) counts as very near: it was put in the wrong table.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let tail = |name: &str| name.rsplit('.').next().map(str::to_owned).unwrap_or_default();
    let wanted = word.to_ascii_lowercase().replace('-', "_");
    let wanted_tail = tail(&wanted);
    known
        .map(|name| {
            let moved = usize::from(tail(name) == wanted_tail);
            let far = distance(&wanted, name).min(1 + distance(&wanted_tail, &tail(name)) * 2 + (1 - moved));
            (far, name)
        })
        .filter(|(far, name)| *far <= 1 + name.len().min(wanted.len()) / 3)
        .min_by_key(|(far, name)| (*far, name.len()))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_word_is_near_to_no_long_name() {
        let known = ["outbound.routes.DOMAIN.mx", "outbound.port", "listen.smtp"];
        let near = |word| nearest(word, known.into_iter());
        assert_eq!([near("foo"), near("x"), near("port"), near("listen.smpt")], [None, None, Some(known[1]), Some(known[2])]);
    }

    #[test]
    fn distances_are_the_textbook_ones() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
        assert_eq!(distance("lsiten", "listen"), 1);
        assert_eq!(distance("ab", "ba"), 1);
    }

    #[test]
    fn the_nearest_is_found_and_nonsense_is_not() {
        let names = ["hostname", "domains", "listen.smtp", "listen.imap", "auth.plaintext"];
        assert_eq!(nearest("host-name", names.into_iter()), Some("hostname"));
        assert_eq!(nearest("listen.smpt", names.into_iter()), Some("listen.smtp"));
        assert_eq!(nearest("tls.plaintext", names.into_iter()), Some("auth.plaintext"));
        assert_eq!(nearest("zebra", names.into_iter()), None);
    }
}
