//! Bytes that should be text.

use std::sync::Arc;

use super::{Mistake, position::Place};

/// The text of a file's bytes; or where the first of them stands that is none.
pub(crate) fn text(source_name: &str, bytes: Vec<u8>) -> Result<String, Box<Mistake>> {
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let shown: Arc<str> = String::from_utf8_lossy(error.as_bytes()).into();
        let before = &shown[..offset];
        let line = before.matches('\n').count() + 1;
        let within = before.rsplit('\n').next().unwrap_or_default();
        let length = char::REPLACEMENT_CHARACTER.len_utf8();
        let place = Place { offset, length, line, column: within.chars().count() + 1 };
        let help = "save the file as UTF-8".to_owned();
        Box::new(Mistake::new(
            source_name,
            &shown,
            place,
            "here is a byte that is no UTF-8 text".to_owned(),
            Some(help),
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_is_no_text_is_shown_where_it_stands() {
        assert_eq!(text("a.yaml", b"name: x\n".to_vec()).unwrap(), "name: x\n");
        for (bytes, place) in [
            (&b"\xff"[..], "a.yaml:1:1:"),
            (b"name: \xc3\xa4\xff", "a.yaml:1:8:"),
            (b"a: 1\n\nb: \xfe\xff", "a.yaml:3:4:"),
        ] {
            let mistake = text("a.yaml", bytes.to_vec()).unwrap_err();
            assert!(mistake.to_string().starts_with(place), "{mistake}");
        }
    }
}
