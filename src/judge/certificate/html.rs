//! `certificate.html`: one file that needs nothing else. Its first page fits on a sheet of A4; the record follows.

use askama::Template;

use super::{Certified, page::Sheet};
use crate::report::figures::visible;

/// `templates/certificate.html`.
#[derive(Template)]
#[template(path = "certificate.html")]
struct Html {
    sheet: Sheet,
    css: &'static str,
    own_css: &'static str,
}

/// The page of a certificate with this statement.
///
/// # Errors
///
/// The template could not be filled.
pub fn render(certified: &Certified, statement: &str) -> Result<String, askama::Error> {
    let css = include_str!("../templates/report.css");
    let own_css = include_str!("../templates/certificate.css");
    Ok(visible(&Html { sheet: Sheet::new(certified, statement, true), css, own_css }.render()?))
}
