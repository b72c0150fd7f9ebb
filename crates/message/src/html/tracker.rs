//! Tracking pixels: pictures that are there to be loaded, not to be seen.

use super::TrackerSign;
use super::tag::Tag;

/// Pieces of addresses (lower-case) that only open-tracking has.
const KNOWN: &[&str] = &[
    "/e/o/",
    "/e2t/o/",
    "/email/open",
    "/emailopen",
    "/mail/open",
    "/o.gif?",
    "/open.aspx?",
    "/open.gif",
    "/open.html?x=",
    "/open.php?",
    "/open/log",
    "/open?",
    "/opened?",
    "/openrate",
    "/pixel.gif",
    "/pixel.png",
    "/ptrack",
    "/q/o/",
    "/track/open",
    "/tracking/open",
    "/trk/open",
    "/wf/open",
    "/wp-json/mailster/open",
    "/xo/",
    "app.getsignals.com",
    "beacon.krxd.net",
    "bl-1.com",
    "cirrusinsight.com/e/i/",
    "cmail19.com/t/",
    "cmail20.com/t/",
    "createsend.com/t/",
    "ct.sendgrid.net",
    "ea.pstmrk.it",
    "emltrk.com",
    "google-analytics.com/",
    "googleadservices.com/",
    "hubapi.com/",
    "infusionsoft.com/app/emailopened",
    "intercom-mail",
    "list-manage.com/track/",
    "litmus.com/",
    "mailchimp.com/track",
    "mailfoogae.appspot.com",
    "mailstat.us",
    "mailtrack.io",
    "mandrillapp.com/track",
    "mixmax.com/",
    "mlsend.com/",
    "outreach.io/api/mailings/opened",
    "pi.pardot.com/",
    "pixel.adsafe",
    "pixel.watch",
    "pstmrk.it/open",
    "r.superhuman.com",
    "sailthru.com/",
    "sendibw",
    "sidekickopen",
    "sparkpostmail",
    "t.signaux",
    "t.yesware.com",
    "track.customer.io",
    "tracking.tldrnewsletter",
    "trk.klclick",
    "yesware.com/t/",
];

/// Why this picture is taken for one, if it is.
pub(super) fn sign(url: &str, tag: &Tag<'_>) -> Option<TrackerSign> {
    let style: String =
        tag.value("style").unwrap_or_default().to_ascii_lowercase().chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let tiny_attribute = |name: &str| tag.value(name).is_some_and(|value| is_tiny(&value));
    let property = |name: &str| {
        let of = |declaration: &str| declaration.strip_prefix(name)?.strip_prefix(':').map(str::to_owned);
        style.split(';').find_map(of)
    };
    let tiny_property = |name: &str| property(name).is_some_and(|value| is_tiny(&value));
    let hidden = ["display:none", "visibility:hidden", "opacity:0;", "max-height:0", "max-width:0"];
    let hidden = hidden.iter().any(|word| style.contains(word)) || style.ends_with("opacity:0");
    if hidden || tag.attributes.iter().any(|(name, _)| name.eq_ignore_ascii_case("hidden")) {
        return Some(TrackerSign::Hidden);
    }
    if ["width", "height"].iter().any(|name| tiny_attribute(name) || tiny_property(name)) {
        return Some(TrackerSign::Tiny);
    }
    let url = url.get(..url.floor_char_boundary(2_000)).unwrap_or(url).to_ascii_lowercase();
    KNOWN.iter().any(|known| url.contains(known)).then_some(TrackerSign::Known)
}

/// At most two pixels.
fn is_tiny(value: &str) -> bool {
    let number = value.trim().trim_end_matches("!important").trim_end_matches("px").trim();
    number.parse::<f32>().is_ok_and(|n| n <= 2.0)
}
