//! What lies on the disk: `store`'s rows and segment files.

/// Rows of every kind, under a good seal.
pub(crate) fn store_row(data: &[u8]) {
    store::fuzzing::stored_row(data);
}

/// A segment file, record by record.
pub(crate) fn store_segment(data: &[u8]) {
    store::fuzzing::segment_file(data);
}
