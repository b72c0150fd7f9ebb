//! The files of the program as they lie in the binary (`build.rs` writes the list).

/// One file, and its compressed forms where they are smaller.
pub(super) struct Embedded {
    pub(super) path: &'static str,
    pub(super) tag: &'static str,
    pub(super) plain: &'static [u8],
    pub(super) gzip: Option<&'static [u8]>,
    pub(super) brotli: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/files.rs"));

pub(super) fn find(path: &str) -> Option<&'static Embedded> {
    FILES.binary_search_by(|file| file.path.cmp(path)).ok().and_then(|at| FILES.get(at))
}

#[cfg(test)]
pub(super) fn all() -> &'static [Embedded] {
    FILES
}

/// The media type, by the name.
pub(super) fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "woff2" => "font/woff2",
        "webmanifest" => "application/manifest+json",
        "png" => "image/png",
        _ => "application/octet-stream",
    }
}
