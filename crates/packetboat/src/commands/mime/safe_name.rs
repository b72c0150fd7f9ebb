//! File names out of messages, made harmless: a name that stays in its directory on every system.
//!
//! Invariant: the answer is one path component, not hidden, no option, no device, at most [`NAME_BYTES_MAX`] octets, and
//! shows itself as it is written.

/// Longest name; file systems take 255 octets, and a number may be added.
pub(super) const NAME_BYTES_MAX: usize = 200;
/// Longest extension that survives a cut.
const EXTENSION_BYTES_MAX: usize = 16;

/// Characters that are not seen, or that turn what is seen around: controls, bidi marks, separators of lines, tags.
pub(super) fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c as u32,
            0xad | 0x61c | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff | 0xfff9..=0xfffb | 0xe0000..=0xe007f)
        || c as u32 & 0xfffe == 0xfffe
}

/// The name to write under; `other` where nothing is left of it.
pub(super) fn safe_name(claimed: &str, other: &str) -> String {
    let visible: String = claimed.chars().filter(|c| !is_invisible(*c)).collect();
    // What came with a path goes without it, whichever system wrote it.
    let last = visible.rsplit(['/', '\\']).map(str::trim).find(|part| !part.trim_matches(['.', ' ']).is_empty());
    let mut name: String = last.unwrap_or_default().chars().map(|c| if "<>:\"|?*".contains(c) { '_' } else { c }).collect();
    name = cut(&name);
    if name.is_empty() {
        return if claimed == other { "part".to_owned() } else { safe_name(other, other) };
    }
    if name.starts_with(['.', '-', '~']) {
        name.replace_range(..1, "_");
    }
    if is_device(&name) {
        name.insert(0, '_');
    }
    name
}

/// Within the limit, its extension kept; no blank or dot at the end (Windows drops them, and what it drops may be all
/// that made a name harmless).
fn cut(name: &str) -> String {
    let name = name.trim().trim_end_matches(['.', ' ', '\u{a0}']);
    if name.len() <= NAME_BYTES_MAX {
        return name.to_owned();
    }
    let extension =
        name.rfind('.').and_then(|dot| name.get(dot..)).filter(|e| e.len() <= EXTENSION_BYTES_MAX).unwrap_or_default();
    let room = name.floor_char_boundary(NAME_BYTES_MAX - extension.len());
    format!("{}{extension}", name.get(..room).unwrap_or_default().trim_end_matches(['.', ' ', '\u{a0}']))
}

/// Windows opens a device under these names, whatever the extension.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    if ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"].contains(&stem.as_str()) {
        return true;
    }
    let number = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    number.is_some_and(|n| {
        let mut chars = n.chars();
        chars.next().is_some_and(|c| c.is_ascii_digit() || "¹²³".contains(c)) && chars.next().is_none()
    })
}

/// The `number`-th name beside one that is taken: `a.txt` becomes `a (2).txt`.
pub(super) fn numbered(name: &str, number: u32) -> String {
    let dot = name.rfind('.').filter(|dot| *dot > 0 && name.len() - dot <= EXTENSION_BYTES_MAX).unwrap_or(name.len());
    let (stem, extension) = name.split_at(dot);
    format!("{stem} ({number}){extension}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn names_stay_in_their_directory() {
        for (claimed, safe) in [
            ("boat.png", "boat.png"),
            ("Grüße aus 東京.pdf", "Grüße aus 東京.pdf"),
            ("../../etc/passwd", "passwd"),
            ("/etc/passwd", "passwd"),
            ("..\\..\\windows\\win.ini", "win.ini"),
            ("C:\\fakepath\\x.txt", "x.txt"),
            ("C:x.txt", "C_x.txt"),
            ("x.txt::$DATA", "x.txt__$DATA"),
            ("..", "other"),
            (".", "other"),
            ("", "other"),
            ("a/..", "a"),
            ("dir/", "dir"),
            ("\0\0", "other"),
            ("a\0.txt", "a.txt"),
            ("a\r\nb\x1b[2J.txt", "ab[2J.txt"),
            ("exe\u{202e}gpj.com", "exegpj.com"),
            ("a\u{200b}b\u{feff}.txt", "ab.txt"),
            (".bashrc", "_bashrc"),
            ("-rf", "_rf"),
            ("~", "_"),
            ("a.txt. . .", "a.txt"),
            ("a.txt   ", "a.txt"),
            ("CON", "_CON"),
            ("con.txt", "_con.txt"),
            ("nul .tar.gz", "_nul .tar.gz"),
            ("COM1", "_COM1"),
            ("lpt9.log", "_lpt9.log"),
            ("COM¹.x", "_COM¹.x"),
            ("COM10", "COM10"),
            ("console.log", "console.log"),
            ("a<b>c|d?e*f\"g", "a_b_c_d_e_f_g"),
            ("...", "other"),
            ("/ /", "other"),
        ] {
            assert_eq!(safe_name(claimed, "other"), safe, "{claimed:?}");
        }
        assert_eq!(safe_name("", ""), "part");
        assert_eq!(safe_name("..", ".."), "part");
    }

    #[test]
    fn long_names_are_cut_and_keep_their_extension() {
        let name = safe_name(&format!("{}.pdf", "ä".repeat(300)), "x");
        assert!(name.len() <= NAME_BYTES_MAX && name.ends_with("ä.pdf"));
        assert_eq!(safe_name(&"a".repeat(1_000), "x").len(), NAME_BYTES_MAX);
        assert!(safe_name(&format!("a.{}", "b".repeat(1_000)), "x").len() <= NAME_BYTES_MAX);
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number_before_its_extension() {
        assert_eq!(numbered("a.txt", 2), "a (2).txt");
        assert_eq!(numbered("a", 3), "a (3)");
        assert_eq!(numbered("_bashrc", 2), "_bashrc (2)");
    }
}
