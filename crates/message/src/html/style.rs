//! CSS cleaned token by token (CSS Syntax 3, by cssparser): what is not on the lists goes, and nothing is loaded that the
//! policy does not allow.
//!
//! Invariant: what comes out is written from tokens, has no `<` and no backslash, and no selector reaches out of the box.

use cssparser::{Delimiter, ParseError, Parser, ToCss, Token};

use super::names::{FUNCTIONS, PSEUDO, TAGS, is_property};
use super::{BOX_CLASS, NAME_PREFIX, RemoteKind};
use crate::limits::CSS_DEPTH_MAX;

/// Is asked for every address; the answer is what may stand there.
pub(super) type Ask<'f> = dyn FnMut(&str, RemoteKind) -> Option<String> + 'f;

type Parsed<T> = Result<T, ParseError<()>>;

fn refused<T>() -> Parsed<T> {
    Err(ParseError::custom(()))
}

/// The declarations of a `style` attribute.
pub(super) fn declarations(css: &str, ask: &mut Ask<'_>) -> String {
    declaration_list(&mut Parser::new(css), ask)
}

/// A style sheet, every selector below the box.
pub(super) fn sheet(css: &str, ask: &mut Ask<'_>) -> String {
    let mut out = String::new();
    rules(&mut Parser::new(css), ask, &mut out, 0);
    out
}

fn declaration_list(p: &mut Parser<'_>, ask: &mut Ask<'_>) -> String {
    let mut out = String::new();
    while !p.is_exhausted() {
        let one = p.parse_until_after(Delimiter::Semicolon, |p| declaration(p, ask));
        if let Ok(one) = one {
            out.push_str(&one);
            out.push(';');
        }
    }
    out
}

fn declaration(p: &mut Parser<'_>, ask: &mut Ask<'_>) -> Parsed<String> {
    let name = p.expect_ident()?.to_ascii_lowercase();
    p.expect_colon()?;
    let mut out = Value { text: String::new(), negative: false };
    let read = value(p, ask, &mut out, 0);
    let text = out.text.trim();
    // A negative margin draws over what is around the box.
    let reaches_out = out.negative && (name.starts_with("margin") || name.starts_with("text-indent"));
    if read.is_err() || !is_property(&name) || text.is_empty() || reaches_out || text.contains(['<', '\\']) {
        return refused();
    }
    Ok(format!("{name}:{text}"))
}

struct Value {
    text: String,
    negative: bool,
}

impl Value {
    fn token(&mut self, token: &Token<'_>) -> Parsed<()> {
        token.to_css(&mut self.text).or_else(|_| refused())
    }
}

fn value(p: &mut Parser<'_>, ask: &mut Ask<'_>, out: &mut Value, depth: usize) -> Parsed<()> {
    if depth > CSS_DEPTH_MAX {
        return refused();
    }
    loop {
        let Ok(token) = p.next_including_whitespace().cloned() else { return Ok(()) };
        match &token {
            Token::WhiteSpace(_) => out.text.push(' '),
            Token::Ident(_) | Token::Hash(_) | Token::IDHash(_) | Token::Comma | Token::QuotedString(_) => out.token(&token)?,
            Token::Number { value, .. } | Token::Dimension { value, .. } => {
                out.negative |= *value < 0.0;
                out.token(&token)?;
            }
            Token::Percentage { unit_value, .. } => {
                out.negative |= *unit_value < 0.0;
                out.token(&token)?;
            }
            Token::Delim('/' | '+' | '-' | '*') => out.token(&token)?,
            Token::Delim('!') => {
                p.expect_ident_matching("important")?;
                out.text.push_str("!important");
            }
            Token::UnquotedUrl(url) => push_url(url, ask, out)?,
            Token::Function(name) if name.eq_ignore_ascii_case("url") => {
                let url = p.parse_nested_block(|p| Ok::<_, ParseError<()>>(p.expect_string()?.to_string()))?;
                push_url(&url, ask, out)?;
            }
            Token::Function(name) => {
                let name = name.to_ascii_lowercase();
                if !FUNCTIONS.contains(&name.as_str()) {
                    return refused();
                }
                out.text.push_str(&name);
                out.text.push('(');
                p.parse_nested_block(|p| value(p, ask, out, depth + 1))?;
                out.text.push(')');
            }
            Token::ParenthesisBlock => {
                out.text.push('(');
                p.parse_nested_block(|p| value(p, ask, out, depth + 1))?;
                out.text.push(')');
            }
            _ => return refused(),
        }
    }
}

fn push_url(url: &str, ask: &mut Ask<'_>, out: &mut Value) -> Parsed<()> {
    if let Some(allowed) = ask(url, RemoteKind::Style) {
        out.text.push_str("url(");
        out.token(&Token::QuotedString(allowed.into()))?;
        out.text.push(')');
    }
    Ok(())
}

fn rules(p: &mut Parser<'_>, ask: &mut Ask<'_>, out: &mut String, depth: usize) {
    loop {
        let start = p.state();
        let Ok(token) = p.next().cloned() else { return };
        match token {
            Token::AtKeyword(name) => at_rule(&name.to_ascii_lowercase(), p, ask, out, depth),
            // What comes with a block that has nothing in front is skipped with it.
            Token::CDO | Token::CDC | Token::Semicolon | Token::CurlyBracketBlock | Token::CloseCurlyBracket => {}
            _ => {
                p.reset(&start);
                rule(p, ask, out);
            }
        }
    }
}

fn rule(p: &mut Parser<'_>, ask: &mut Ask<'_>, out: &mut String) {
    let selectors = p.parse_until_before(Delimiter::CurlyBracketBlock, selectors);
    if !matches!(p.next(), Ok(Token::CurlyBracketBlock)) {
        return;
    }
    let body = p.parse_nested_block(|p| Ok::<_, ParseError<()>>(declaration_list(p, ask))).unwrap_or_default();
    if let Ok(selectors) = selectors
        && !body.is_empty()
    {
        out.push_str(&format!("{selectors}{{{body}}}"));
    }
}

fn at_rule(name: &str, p: &mut Parser<'_>, ask: &mut Ask<'_>, out: &mut String, depth: usize) {
    let ends = Delimiter::CurlyBracketBlock | Delimiter::Semicolon;
    if name == "import" {
        let url = p.parse_until_after(Delimiter::Semicolon, |p| {
            let url = p.expect_url_or_string()?.to_string();
            while p.next().is_ok() {}
            Ok::<_, ParseError<()>>(url)
        });
        if let Ok(url) = url {
            ask(&url, RemoteKind::StyleSheet);
        }
        return;
    }
    let mut prelude = Value { text: String::new(), negative: false };
    let read = p.parse_until_before(ends, |p| media_query(p, &mut prelude, 0));
    if !matches!(p.next(), Ok(Token::CurlyBracketBlock)) {
        return;
    }
    let _ = p.parse_nested_block(|p| {
        match name {
            "media" if read.is_ok() && depth < CSS_DEPTH_MAX => {
                let mut inside = String::new();
                rules(p, ask, &mut inside, depth + 1);
                let prelude = prelude.text.trim();
                if !inside.is_empty() && !prelude.contains(['<', '\\']) {
                    out.push_str(&format!("@media {prelude}{{{inside}}}"));
                }
            }
            "font-face" => fonts(p, ask),
            _ => while p.next().is_ok() {},
        }
        Ok::<_, ParseError<()>>(())
    });
}

/// `screen and (max-width: 600px)`.
fn media_query(p: &mut Parser<'_>, out: &mut Value, depth: usize) -> Parsed<()> {
    loop {
        let Ok(token) = p.next_including_whitespace().cloned() else { return Ok(()) };
        match &token {
            Token::WhiteSpace(_) => out.text.push(' '),
            Token::Ident(_) | Token::Colon | Token::Comma | Token::Number { .. } | Token::Dimension { .. } => {
                out.token(&token)?
            }
            Token::ParenthesisBlock if depth <= CSS_DEPTH_MAX => {
                out.text.push('(');
                p.parse_nested_block(|p| media_query(p, out, depth + 1))?;
                out.text.push(')');
            }
            _ => return refused(),
        }
    }
}

/// Fonts from elsewhere are told, never loaded.
fn fonts(p: &mut Parser<'_>, ask: &mut Ask<'_>) {
    while let Ok(token) = p.next().cloned() {
        match token {
            Token::UnquotedUrl(url) => drop(ask(&url, RemoteKind::Font)),
            Token::Function(name) if name.eq_ignore_ascii_case("url") => {
                if let Ok(url) = p.parse_nested_block(|p| Ok::<_, ParseError<()>>(p.expect_string()?.to_string())) {
                    ask(&url, RemoteKind::Font);
                }
            }
            _ => {}
        }
    }
}

/// A list of selectors, each below the box; one that is not understood refuses them all.
fn selectors(p: &mut Parser<'_>) -> Parsed<String> {
    let mut list = Vec::new();
    let mut one = Selector::default();
    loop {
        let Ok(token) = p.next_including_whitespace().cloned() else { break };
        match &token {
            Token::WhiteSpace(_) => one.text.push(' '),
            Token::Comma => list.push(std::mem::take(&mut one).finish()?),
            Token::Delim('.') => {
                let class = p.expect_ident_cloned()?;
                one.name('.', &class)?;
            }
            Token::Hash(id) | Token::IDHash(id) => one.name('#', id)?,
            Token::Delim(c @ ('>' | '+' | '~' | '*')) => one.text.push(*c),
            Token::Ident(tag) => one.tag(&tag.to_ascii_lowercase())?,
            Token::Colon => {
                one.text.push(':');
                if p.try_parse(|p| p.expect_colon()).is_ok() {
                    one.text.push(':');
                }
                let pseudo = p.expect_ident()?.to_ascii_lowercase();
                if !PSEUDO.contains(&pseudo.as_str()) {
                    return refused();
                }
                one.text.push_str(&pseudo);
            }
            _ => return refused(),
        }
    }
    list.push(one.finish()?);
    Ok(list.join(","))
}

#[derive(Default)]
struct Selector {
    text: String,
    /// It began with `html` or `body`: that is the box.
    is_box: bool,
}

impl Selector {
    fn name(&mut self, mark: char, name: &str) -> Parsed<()> {
        self.text.push_str(&format!("{mark}{NAME_PREFIX}{}", super::filter::name_of_ours(name).ok_or(ParseError::custom(()))?));
        Ok(())
    }

    fn tag(&mut self, tag: &str) -> Parsed<()> {
        if matches!(tag, "html" | "body") {
            if !self.text.trim().is_empty() {
                return refused();
            }
            self.is_box = true;
        } else if TAGS.contains(&tag) {
            self.text.push_str(tag);
        } else {
            return refused();
        }
        Ok(())
    }

    fn finish(self) -> Parsed<String> {
        let text = if self.is_box { self.text.trim_end() } else { self.text.trim() };
        if text.is_empty() && !self.is_box {
            return refused();
        }
        // A combinator behind the box would look beside it.
        if text.trim_start().starts_with(['+', '~']) {
            return refused();
        }
        let blank = if self.is_box { "" } else { " " };
        Ok(format!(".{BOX_CLASS}{blank}{text}"))
    }
}
