//! SearchSnippet (RFC 8621 §5): the words that were looked for, marked in the subject and in the text around them.
//!
//! Invariant: the answer is HTML-escaped; only `<mark>` is markup. Must not know: which emails a filter finds.

use super::args::Args;
use super::email::Filter;
use super::failure::MethodError;
use super::{Context, Object, PROGRAM, account_id};
use crate::limits::GET_MAX;
use search::phrases;
use serde_json::{Value, json};

/// Octets of a preview, before escaping.
const PREVIEW_BYTES_MAX: usize = 180;
/// ... and behind it ("It MUST NOT be bigger than 255 octets in size").
const ESCAPED_BYTES_MAX: usize = 255;

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Lower-case, and for each of its octets where it stands in the text.
fn folded(text: &str) -> (String, Vec<usize>) {
    let (mut lower, mut places) = (String::with_capacity(text.len()), Vec::with_capacity(text.len()));
    for (at, c) in text.char_indices() {
        for one in c.to_lowercase() {
            places.extend(std::iter::repeat_n(at, one.len_utf8()));
            lower.push(one);
        }
    }
    places.push(text.len());
    (lower, places)
}

/// Where words stand, ascending and apart.
fn found(text: &str, words: &[String]) -> Vec<(usize, usize)> {
    let (lower, places) = folded(text);
    let mut all: Vec<(usize, usize)> = Vec::new();
    for word in words.iter().map(|word| word.to_lowercase()).filter(|word| !word.is_empty()) {
        for (start, hit) in lower.match_indices(&word) {
            if let (Some(start), Some(end)) = (places.get(start), places.get(start + hit.len())) {
                all.push((*start, *end));
            }
        }
    }
    all.sort_unstable();
    let mut apart: Vec<(usize, usize)> = Vec::new();
    for (start, end) in all {
        match apart.last_mut() {
            Some((_, last)) if start <= *last => *last = end.max(*last),
            _ => apart.push((start, end)),
        }
    }
    apart
}

/// The text with its words marked; `None` when it has none.
fn marked(text: &str, words: &[String]) -> Option<String> {
    let places = found(text, words);
    if places.is_empty() {
        return None;
    }
    let (mut out, mut at) = (String::new(), 0);
    for (start, end) in places {
        out.push_str(&escape(text.get(at..start)?));
        out.push_str("<mark>");
        out.push_str(&escape(text.get(start..end)?));
        out.push_str("</mark>");
        at = end;
    }
    out.push_str(&escape(text.get(at..)?));
    Some(out)
}

/// The piece around the first word found.
fn preview(text: &str, words: &[String]) -> Option<String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (first, _) = *found(&text, words).first()?;
    let mut room = PREVIEW_BYTES_MAX;
    // Marks and what has to be escaped take more: then it is less of the text.
    while room > 0 {
        let start = text.floor_char_boundary(first.saturating_sub(room / 3));
        let end = text.floor_char_boundary((start + room).min(text.len()));
        match marked(text.get(start..end)?, words) {
            Some(piece) if piece.len() <= ESCAPED_BYTES_MAX => return Some(piece),
            Some(_) => room = room * 7 / 8,
            // So little of it holds no whole word any more.
            None => return Some(escape(text.get(start..end)?)).filter(|piece| piece.len() <= ESCAPED_BYTES_MAX),
        }
    }
    None
}

/// Words looked for in the subject, and in the text.
fn words(filter: &Value, subject: &mut Vec<String>, body: &mut Vec<String>) {
    let Some(object) = filter.as_object() else { return };
    if object.get("operator").and_then(Value::as_str) == Some("NOT") {
        return;
    }
    for condition in object.get("conditions").and_then(Value::as_array).into_iter().flatten() {
        words(condition, subject, body);
    }
    for (name, value) in object {
        // The Subject by its name as a field.
        if let ("header", Some([field, text])) = (name.as_str(), value.as_array().map(Vec::as_slice))
            && field.as_str().is_some_and(|field| field.eq_ignore_ascii_case("subject"))
        {
            subject.extend(text.as_str().map(str::to_owned));
        }
        let Some(text) = value.as_str() else { continue };
        if matches!(name.as_str(), "text" | "subject") {
            subject.extend(phrases(text));
        }
        if matches!(name.as_str(), "text" | "body") {
            body.extend(phrases(text));
        }
    }
}

/// `SearchSnippet/get`
pub(super) async fn get(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let filter = args.take("filter").unwrap_or_default();
    let ids = args.texts("emailIds")?.ok_or_else(|| MethodError::arguments("emailIds is missing"))?;
    args.end()?;
    if ids.len() > GET_MAX {
        return Err(MethodError::new("requestTooLarge"));
    }
    let ours = context.using.contains(PROGRAM);
    // It is the same filter: what `Email/query` does not take this does not either.
    Filter::parse(Some(&filter).filter(|filter| !filter.is_null()), context.eyes.account, ours)?;
    let (mut in_subject, mut in_body) = (Vec::new(), Vec::new());
    words(&filter, &mut in_subject, &mut in_body);
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    for id in ids {
        let Some(octets) = super::blob::blob(context, &id).await?.filter(|_| id.starts_with('M')) else {
            not_found.push(id);
            continue;
        };
        let message = message::parse(&octets);
        let subject = message.root().field("subject").map(|field| field.text_in(message.header_charset()).into_owned());
        let subject = subject.and_then(|subject| marked(&subject, &in_subject));
        let texts = if in_body.is_empty() { Vec::new() } else { message::search::body_texts(&message) };
        let preview = texts.iter().find_map(|text| preview(text, &in_body));
        list.push(json!({"emailId": id, "subject": subject, "preview": preview}));
    }
    let not_found = if not_found.is_empty() { Value::Null } else { json!(not_found) };
    let answer = json!({"accountId": account_id(context.eyes.account), "list": list, "notFound": not_found});
    Ok(answer.as_object().cloned().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_marked_and_the_rest_escaped() {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            marked("A <b> & Boat", &words(&["boat", "A"])).as_deref(),
            Some("<mark>A</mark> &lt;b&gt; &amp; <mark>Boat</mark>")
        );
        assert_eq!(marked("Grüße", &words(&["GRÜ"])).as_deref(), Some("<mark>Grü</mark>ße"));
        assert_eq!(marked("nothing", &words(&["x"])), None);
        assert_eq!(marked("abab", &words(&["aba", "bab"])).as_deref(), Some("<mark>abab</mark>"));
        let long = format!("{} needle {}", "x ".repeat(500), "y ".repeat(500));
        assert!(preview(&long, &words(&["needle"])).is_some_and(|text| text.contains("<mark>needle</mark>") && text.len() < 255));
        // §5: what is escaped counts as it is told, however much there is of it.
        for (text, word) in
            [("<&> ".repeat(300), "&"), ("a ".repeat(300), "a"), (format!("{} x", "&".repeat(600)), "x"), ("w".repeat(900), "w")]
        {
            let told = preview(&text, &words(&[word]));
            assert!(told.as_ref().is_some_and(|told| told.len() <= 255 && told.contains("<mark>")), "{told:?}");
        }
        assert_eq!(preview(&"z".repeat(400), &words(&[&"z".repeat(400)])).map(|told| told.len() <= 255), Some(true));
    }
}
