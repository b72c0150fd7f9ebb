//! What may stand in a shown message: elements, attributes, properties.

/// Elements that are kept.
pub(super) const TAGS: &[&str] = &[
    "a",
    "abbr",
    "acronym",
    "address",
    "article",
    "aside",
    "b",
    "bdi",
    "bdo",
    "big",
    "blockquote",
    "br",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "details",
    "dfn",
    "dir",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "font",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "main",
    "map",
    "mark",
    "nav",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "section",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "time",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
    "wbr",
];

/// Of those, the ones without content.
pub(super) const VOID: &[&str] = &["br", "col", "hr", "img", "wbr"];

/// Elements that go with all that is in them; what is text to their end tag, whatever it looks like.
pub(super) const RAW_TEXT: &[&str] =
    &["iframe", "noembed", "noframes", "plaintext", "script", "style", "textarea", "title", "xmp"];

/// Elements that go with all that is in them, until their end tag or an element of the page.
pub(super) const FOREIGN: &[&str] = &["math", "svg", "template", "select", "datalist", "frameset", "applet"];

/// Formatting elements: one that is not closed goes on in every paragraph behind it, so only so many may be open.
pub(super) const FORMATTING: &[&str] = &["a", "b", "big", "code", "em", "font", "i", "s", "small", "strike", "strong", "tt", "u"];

/// Attributes of any element.
pub(super) const ATTRIBUTES: &[&str] =
    &["align", "bgcolor", "class", "color", "dir", "height", "id", "lang", "style", "title", "valign", "width"];

/// Attributes of one element.
pub(super) const TAG_ATTRIBUTES: &[(&str, &[&str])] = &[
    ("a", &["href", "name", "target"]),
    ("blockquote", &["type"]),
    ("col", &["span"]),
    ("colgroup", &["span"]),
    ("details", &["open"]),
    ("font", &["face", "size"]),
    ("hr", &["noshade", "size"]),
    ("img", &["alt", "border", "hspace", "src", "vspace"]),
    ("li", &["type", "value"]),
    ("ol", &["reversed", "start", "type"]),
    ("table", &["background", "border", "bordercolor", "cellpadding", "cellspacing", "frame", "rules", "summary"]),
    ("td", &["abbr", "background", "colspan", "headers", "nowrap", "rowspan", "scope"]),
    ("th", &["abbr", "background", "colspan", "headers", "nowrap", "rowspan", "scope"]),
    ("time", &["datetime"]),
    ("tr", &["background"]),
    ("ul", &["type"]),
];

/// Properties that are kept, whole names.
const PROPERTIES: &[&str] = &[
    "background",
    "background-color",
    "background-image",
    "background-position",
    "background-repeat",
    "background-size",
    "box-shadow",
    "box-sizing",
    "caption-side",
    "clear",
    "color",
    "column-count",
    "column-gap",
    "direction",
    "display",
    "empty-cells",
    "float",
    "height",
    "hyphens",
    "letter-spacing",
    "line-height",
    "max-height",
    "max-width",
    "min-height",
    "min-width",
    "opacity",
    "order",
    "overflow",
    "overflow-wrap",
    "overflow-x",
    "overflow-y",
    "quotes",
    "tab-size",
    "table-layout",
    "unicode-bidi",
    "vertical-align",
    "visibility",
    "white-space",
    "width",
    "word-break",
    "word-spacing",
    "word-wrap",
];

/// Families of properties: `border-top-width`, `font-size` ...
const FAMILIES: &[&str] = &["border", "flex", "font", "list-style", "margin", "outline", "padding", "text"];

/// May this property (lower-case) be set?
pub(super) fn is_property(name: &str) -> bool {
    let of_family = |family: &&str| name.strip_prefix(*family).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    PROPERTIES.contains(&name) || FAMILIES.iter().any(of_family)
}

/// Functions of values that are kept. None of them loads anything; `url` is treated apart.
pub(super) const FUNCTIONS: &[&str] = &[
    "calc",
    "clamp",
    "hsl",
    "hsla",
    "linear-gradient",
    "max",
    "min",
    "radial-gradient",
    "repeating-linear-gradient",
    "rgb",
    "rgba",
];

/// Pseudo-classes and pseudo-elements of selectors that are kept.
pub(super) const PSEUDO: &[&str] =
    &["active", "first-child", "first-letter", "first-line", "focus", "hover", "last-child", "link", "visited"];
