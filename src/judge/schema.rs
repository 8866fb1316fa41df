//! The number of the format of saved files.

/// The schema of the histories and plans that this version writes. It rises when the meaning of a field changes, or a
/// reader of the schema before would misjudge what a new one holds. Files without a number have schema 1.
pub const SCHEMA: u32 = 4;

/// The schema of a file that names none.
pub(crate) fn first_schema() -> u32 {
    1
}

pub(crate) fn is_first_schema(schema: &u32) -> bool {
    *schema == first_schema()
}
