//! Names of the files in a Maildir: what is new and which flags a message has.
//!
//! The names alone: `new/UNIQUE`, `cur/UNIQUE:2,FLAGS` (cr.yp.to/proto/maildir.html), and the letters `a` to `z` by which
//! Dovecot and Courier keep keywords. Invariant: what [`Name::write`] gives is read back the same. Must not know: files.

/// A file name, taken apart.
///
/// ```
/// use message::maildir::{Flag, Name};
/// let name = Name::read("1795404732.M1P2.here,S=99:2,FSa").unwrap();
/// assert_eq!((name.unique, name.keywords.as_str()), ("1795404732.M1P2.here,S=99", "a"));
/// assert!(name.has(Flag::Seen) && name.has(Flag::Flagged) && !name.has(Flag::Trashed));
/// assert_eq!(name.write(), "1795404732.M1P2.here,S=99:2,FSa");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Name<'a> {
    /// What stays the same while flags change.
    pub unique: &'a str,
    /// The flags, in the order of their letters.
    pub flags: Vec<Flag>,
    /// Letters of keywords, ascending; what they mean stands in the Maildir.
    pub keywords: String,
}

/// A flag of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flag {
    /// `D`: \Draft
    Draft,
    /// `F`: \Flagged
    Flagged,
    /// `P`: resent, forwarded or bounced: $Forwarded
    Passed,
    /// `R`: \Answered
    Replied,
    /// `S`: \Seen
    Seen,
    /// `T`: \Deleted
    Trashed,
}

const LETTERS: [(char, Flag); 6] = [
    ('D', Flag::Draft),
    ('F', Flag::Flagged),
    ('P', Flag::Passed),
    ('R', Flag::Replied),
    ('S', Flag::Seen),
    ('T', Flag::Trashed),
];

impl<'a> Name<'a> {
    /// `None`: such a file is no message (a name that begins with a dot, or none at all). Letters nobody knows, and the
    /// experimental `1,`, are passed over.
    pub fn read(file_name: &'a str) -> Option<Name<'a>> {
        if file_name.is_empty() || file_name.starts_with('.') || file_name.contains('/') {
            return None;
        }
        // Where a colon may not stand in names, others write `;` or `!`.
        let (unique, info) = file_name.rsplit_once([':', ';', '!']).unwrap_or((file_name, ""));
        let Some(letters) = info.strip_prefix("2,") else {
            let unique = if info.starts_with("1,") { unique } else { file_name };
            return Some(Name { unique, ..Name::default() });
        };
        let mut flags: Vec<Flag> =
            LETTERS.iter().filter(|(letter, _)| letters.contains(*letter)).map(|(_, flag)| *flag).collect();
        flags.sort_unstable();
        let keywords = ('a'..='z').filter(|letter| letters.contains(*letter)).collect();
        Some(Name { unique, flags, keywords })
    }

    /// Has it?
    pub fn has(&self, flag: Flag) -> bool {
        self.flags.contains(&flag)
    }

    /// The name in `cur`: letters ascending, each once.
    pub fn write(&self) -> String {
        let flags: String = LETTERS.iter().filter(|(_, flag)| self.has(*flag)).map(|(letter, _)| *letter).collect();
        format!("{}:2,{flags}{}", self.unique, self.keywords)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_the_wild() {
        let read = |name| Name::read(name).map(|name| (name.unique, name.write()));
        assert_eq!(read("1.x.host"), Some(("1.x.host", "1.x.host:2,".to_owned())));
        assert_eq!(read("1.x.host:2,TSRPFD"), Some(("1.x.host", "1.x.host:2,DFPRST".to_owned())));
        assert_eq!(read("1.x.host;2,S"), Some(("1.x.host", "1.x.host:2,S".to_owned())));
        assert_eq!(read("1.x.host:2,SS?9ba"), Some(("1.x.host", "1.x.host:2,Sab".to_owned())));
        assert_eq!(read("1.x.host:1,whatever"), Some(("1.x.host", "1.x.host:2,".to_owned())));
        assert_eq!(read("1.x!host"), Some(("1.x!host", "1.x!host:2,".to_owned())));
        for none in ["", ".nfs0001", "a/b", ".", ".."] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn what_is_written_is_read_back(unique in "[0-9A-Za-z,=_][0-9A-Za-z.,=_]{0,20}", letters in "[DFPRSTa-z]{0,12}") {
            let file = format!("{unique}:2,{letters}");
            let name = Name::read(&file).unwrap();
            let written = name.write();
            prop_assert_eq!(Name::read(&written).unwrap(), name);
        }
    }
}
