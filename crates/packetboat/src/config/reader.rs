//! From TOML with spans to option blocks: walks the tables, hands every value to its block, reports unknown keys.
//!
//! Invariant: every key of the file either reaches exactly one block or is a problem.

use super::options::{OPTIONS, OptionBlock, ROUTE_TABLE};
use super::suggest::nearest;
use super::{Config, Places, Problem, Route};
use net::listener::ListenAddr;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One value on its way to its option: read it as what it should be, or say what is wrong.
pub(crate) struct Item<'a, 'i> {
    value: &'a Spanned<DeValue<'i>>,
    base: &'a Path,
    problems: &'a mut Vec<Problem>,
}

impl<'a, 'i> Item<'a, 'i> {
    pub(crate) fn new(value: &'a Spanned<DeValue<'i>>, base: &'a Path, problems: &'a mut Vec<Problem>) -> Self {
        Item { value, base, problems }
    }

    /// Reports a problem with the whole value.
    pub(crate) fn problem(&mut self, message: impl Into<String>) {
        self.problems.push(Problem { span: self.value.span(), message: message.into() });
    }

    /// Problems reported so far, in the whole file.
    pub(crate) fn problem_count(&self) -> usize {
        self.problems.len()
    }

    fn problem_at(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.problems.push(Problem { span, message: message.into() });
    }

    fn wrong_type(&mut self, wanted: &str) {
        let got = self.value.get_ref().type_str();
        self.problem(format!("wants {wanted}, not {}", with_article(got)));
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        match self.value.get_ref().as_str() {
            Some(text) => Some(text.to_owned()),
            None => {
                self.wrong_type("text in quotes");
                None
            }
        }
    }

    pub(crate) fn boolean(&mut self) -> Option<bool> {
        let found = self.value.get_ref().as_bool();
        if found.is_none() {
            self.wrong_type("true or false");
        }
        found
    }

    /// A whole number from `low` to `high`.
    pub(crate) fn number(&mut self, low: u64, high: u64) -> Option<u64> {
        let Some(integer) = self.value.get_ref().as_integer() else {
            self.wrong_type("a whole number");
            return None;
        };
        let found = u64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|number| (low..=high).contains(number));
        if found.is_none() {
            let told = if high == u64::MAX {
                format!("wants a number of {low} or more")
            } else {
                format!("wants a number from {low} to {high}")
            };
            self.problem(told);
        }
        found
    }

    pub(crate) fn number_u32(&mut self, low: u32) -> Option<u32> {
        self.number(u64::from(low), u64::from(u32::MAX)).and_then(|number| u32::try_from(number).ok())
    }

    pub(crate) fn port(&mut self) -> Option<u16> {
        self.number(1, u64::from(u16::MAX)).and_then(|number| u16::try_from(number).ok())
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&mut self, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let list: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let hint = nearest(&text, words.iter().map(|(word, _)| *word))
                .map(|word| format!("; did you mean \"{word}\"?"))
                .unwrap_or_default();
            self.problem(format!("wants one of {}{hint}", list.join(", ")));
        }
        found
    }

    /// A list of texts, each with its own place.
    pub(crate) fn texts(&mut self) -> Option<Vec<(String, Range<usize>)>> {
        let Some(array) = self.value.get_ref().as_array() else {
            self.wrong_type("a list of texts in brackets");
            return None;
        };
        let mut list = Vec::new();
        for element in array.iter() {
            match element.get_ref().as_str() {
                Some(text) => list.push((text.to_owned(), element.span())),
                None => self.problem_at(element.span(), "wants text in quotes in this list"),
            }
        }
        Some(list)
    }

    /// A list, each element read by `read`; only the good ones come back.
    pub(crate) fn list_of<T>(&mut self, read: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        let mut list = Vec::new();
        for (text, span) in self.texts()? {
            match read(&text) {
                Ok(value) => list.push(value),
                Err(message) => self.problem_at(span, message),
            }
        }
        Some(list)
    }

    /// A path; a relative one starts at the folder of the configuration file.
    pub(crate) fn path(&mut self) -> Option<PathBuf> {
        let text = self.text()?;
        if text.is_empty() {
            self.problem("wants a path");
            return None;
        }
        Some(self.base.join(text))
    }

    /// A path of a file that can be read now.
    pub(crate) fn readable_file(&mut self) -> Option<PathBuf> {
        let path = self.path()?;
        match std::fs::read(&path) {
            Ok(_) => Some(path),
            Err(error) => {
                self.problem(format!("{} cannot be read: {error}", path.display()));
                None
            }
        }
    }

    /// A host name (RFC 1123 §2.1).
    pub(crate) fn host_name(&mut self) -> Option<String> {
        let text = self.text()?;
        match domain(&text) {
            Ok(name) => Some(name),
            Err(message) => {
                self.problem(message);
                None
            }
        }
    }
}

fn with_article(kind: &str) -> String {
    match kind {
        "array" => "a list".into(),
        "integer" => "a whole number".into(),
        "string" => "a text".into(),
        "boolean" => "true or false".into(),
        other => format!("a {other}"),
    }
}

/// Reads a domain name (RFC 5890: a non-ASCII one is written in its `xn--` form), lower-case.
pub(crate) fn domain(text: &str) -> Result<String, String> {
    if !text.is_ascii() {
        return Err(format!("\"{text}\" is not ASCII: write it in its xn-- form"));
    }
    let label_is_good = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
    };
    if text.is_empty() || text.len() > 253 || !text.split('.').all(label_is_good) {
        return Err(format!("\"{text}\" is not a domain name"));
    }
    Ok(text.to_ascii_lowercase())
}

/// Reads `ip:port`.
pub(crate) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("\"{text}\" is not an address: write \"ip:port\", such as \"0.0.0.0:25\" or \"[::1]:25\""))
}

/// Reads `ip:port`, or `unix:/path` where a Unix socket is possible.
pub(crate) fn endpoint(text: &str, unix_allowed: bool) -> Result<ListenAddr, String> {
    match text.strip_prefix("unix:") {
        None => socket_address(text).map(ListenAddr::Tcp),
        Some(_) if !unix_allowed => Err(format!("\"{text}\": only lmtp listens on a Unix socket")),
        Some(path) if path.starts_with('/') => Ok(ListenAddr::Unix(PathBuf::from(path))),
        Some(_) => Err(format!("\"{text}\": a Unix socket is written \"unix:/path\", from the root")),
    }
}

/// Walks the file; returns where every known option (and table) was given.
pub(crate) fn walk(table: &DeTable<'_>, base: &Path, config: &mut Config, problems: &mut Vec<Problem>) -> Places {
    let mut places = Places::new();
    walk_table("", table, base, config, problems, &mut places);
    places
}

fn walk_table(
    prefix: &str,
    table: &DeTable<'_>,
    base: &Path,
    config: &mut Config,
    problems: &mut Vec<Problem>,
    places: &mut Places,
) {
    for (key, value) in table {
        let name = if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
        if let Some(block) = OPTIONS.iter().find(|block| block.name == name) {
            places.insert(name, key.span());
            (block.read)(config, &mut Item::new(value, base, problems));
            continue;
        }
        if let Some((routes, _)) = ROUTE_TABLE.rsplit_once('.').filter(|(routes, _)| *routes == prefix) {
            walk_route((routes, key), value, base, config, problems, places);
            continue;
        }
        let is_table = table_names().any(|known| known == name);
        match value.get_ref().as_table() {
            Some(inner) if is_table => {
                places.insert(name.clone(), key.span());
                walk_table(&name, inner, base, config, problems, places);
            }
            None if is_table => problems
                .push(Problem { span: key.span(), message: format!("`{name}` is a table: write [{name}] and its keys below") }),
            Some(_) => problems.push(Problem { span: key.span(), message: unknown("table", &name, table_names()) }),
            None => problems.push(Problem {
                span: key.span(),
                message: unknown("key", &name, OPTIONS.iter().map(|block: &OptionBlock| block.name)),
            }),
        }
    }
}

/// The table of one domain's route.
fn walk_route(
    (routes, key): (&str, &Spanned<std::borrow::Cow<'_, str>>),
    value: &Spanned<DeValue<'_>>,
    base: &Path,
    config: &mut Config,
    problems: &mut Vec<Problem>,
    places: &mut Places,
) {
    let mut problem = |message: String| problems.push(Problem { span: key.span(), message });
    let name = match domain(key.get_ref()) {
        Ok(name) => name,
        Err(message) => return problem(message),
    };
    let Some(inner) = value.get_ref().as_table() else {
        return problem(format!("`{routes}.\"{name}\"` is a table: write [{routes}.\"{name}\"] and its keys below"));
    };
    if config.routes.iter().any(|route| route.domain == name) {
        return problem(format!("{name} has two routes"));
    }
    places.insert(format!("{routes}.{name}"), key.span());
    config.route = Some(Route::blank(name.clone()));
    for (key, value) in inner {
        let option = format!("{ROUTE_TABLE}.{}", key.get_ref());
        match OPTIONS.iter().find(|block| block.name == option) {
            Some(block) => {
                places.insert(format!("{routes}.{name}.{}", key.get_ref()), key.span());
                (block.read)(config, &mut Item::new(value, base, problems));
            }
            None => {
                let known = OPTIONS.iter().filter_map(|block| block.name.strip_prefix(ROUTE_TABLE)?.strip_prefix('.'));
                problems.push(Problem { span: key.span(), message: unknown("key", key.get_ref(), known) });
            }
        }
    }
    let route = config.route.take();
    config.routes.extend(route);
}

fn unknown<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        Some(near) => format!("unknown {kind} `{name}`; did you mean `{near}`?"),
        None => format!("unknown {kind} `{name}`"),
    }
}

/// Every table an option stands in, and the tables those stand in.
fn table_names() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().flat_map(|block| block.name.match_indices('.').map(|(at, _)| block.name.get(..at).unwrap_or_default()))
}
